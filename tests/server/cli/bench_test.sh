#!/usr/bin/env bash
# `vlaserve bench kernels` on small shapes.
#
#   bench_test.sh PROGRAM SOURCE_DIR commands
source "$(dirname "$0")/program.sh"

commands_part() {
  local bench
  bench=(bench kernels --threads 1 --rounds 1 --turn-ms 0 --stream-mib 0)
  expect 2 bench
  expect 2 bench nonsense
  expect 2 "${bench[@]}" --shapes llm.k
  says err "shapes" '"llm.k"' "llm.gate_up"
  expect 2 "${bench[@]}" --shapes 0x4
  expect 2 "${bench[@]}" --rows 0
  expect 2 "${bench[@]}" --rows 1,two
  expect 2 "${bench[@]}" --rounds 0
  expect 2 "${bench[@]}" --threads 2000
  expect 2 "${bench[@]}" --json --markdown
  expect 2 "${bench[@]}" --contenders w5_row
  says err "contenders" '"w5_row"' "w4_row"
  VLASERVE_ISA=avx1024 expect 2 "${bench[@]}" --shapes 64x64
  says err "VLASERVE_ISA" "avx1024"
  silent out

  VLASERVE_ISA=portable expect 0 "${bench[@]}" --shapes 64x64 --rows 1,2 --contenders w4_row,linear_f32 --json
  says out '"isa": "portable"' '"integer_gops": null' '"name": "w4_row+dense64"' '"rows": 2' \
    '"name": "linear_f32"'
  says err "64x64, 2 rows"
  expect 0 "${bench[@]}" --shapes 64x64 --rows 3 --contenders w4_row,linear
  says out "64x64 (64 -> 64), 3 rows" "w4_row_bf16+hadamard64" "linear_bf16"
  expect 0 "${bench[@]}" --shapes 64x64 --rows 3 --contenders w4_row,linear --markdown
  says out "| 64x64 (64 -> 64) | 3 |"

  printf '\n\n' >"$work/rounds"
  expect 0 "${bench[@]}" --shapes 64x64 --rows 1,2 --contenders linear_f32 --step <"$work/rounds"
  says out '{"in_features":64,"out_features":64,"ready":"64x64","rows":1}' '{"round":1}' '"cases":['
  printf '\n' >"$work/rounds"
  expect 1 "${bench[@]}" --shapes 64x64 --rows 1,2 --contenders linear_f32 --step <"$work/rounds"
  says err "stopped before round 1"
}

"${part}_part"
finish
