#!/usr/bin/env bash
# `vlaserve pack`, and a server that finds what it packed.
#
#   pack_test.sh PROGRAM SOURCE_DIR commands
source "$(dirname "$0")/program.sh"

commands_part() {
  local pack
  export_demo
  pack=(pack --archive "$work/policy.pt" --set pack_cache.dir="$work/packs")
  expect 2 "${pack[@]}"
  says err "quant.engine" "preset"
  expect 2 "${pack[@]}" --preset nonsense
  expect 2 pack --preset best_w4a8
  says err "policy.archive"
  expect 2 "${pack[@]}" --preset best_w4a8 --set pack_cache.mode=ro
  says err "pack_cache.mode"
  expect 2 "${pack[@]}" --preset best_w4a8 --set quant.select.scope=policy.dit.
  says err "quant.select.scope"
  silent out
  expect 3 pack --archive "$work/none.pt" --preset best_w4a8

  expect 0 "${pack[@]}" --preset best_w4a8 --json
  says out '"from_cache": 0' '"built": 56' '"packed": 56' '"weight_bits": 4'
  says err "packed 56/56"
  expect 0 "${pack[@]}" --preset best_w4a8
  says out "packs: 56 from the cache, 0 built"

  VLASERVE_ISA=sse9 expect 2 serve --set policy.archive="$work/policy.pt" --set server.address=127.0.0.1:0 \
    --set quant.preset=best_w4a8 --set pack_cache.dir="$work/packs"
  says err "VLASERVE_ISA is 'sse9'"

  export VLASERVE_ISA=portable
  start_server --set quant.preset=best_w4a8 --set pack_cache.dir="$work/packs"
  unset VLASERVE_ISA
  says log "engine: int, 56 of 82 linears quantized" "kernel portable" \
    "packs: 56 from the cache, 0 built" "memory: " "fused: shared_input 39 of 39" \
    "gated_mlp 19 of 19" "attention: vlaserve kernel at 25 of 25 places"
  says server.out "[DUQUANT] Total layers replaced: 56"
  stop_server
  says log "stopped"
}

"${part}_part"
finish
