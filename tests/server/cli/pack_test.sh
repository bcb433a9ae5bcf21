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

  start_server --set quant.preset=best_w4a8 --set pack_cache.dir="$work/packs"
  says log "engine: int, 56 of 82 linears quantized" "kernel portable" \
    "packs: 56 from the cache, 0 built" "memory: "
  says server.out "[DUQUANT] Total layers replaced: 56"
  stop_server
  says log "stopped"
}

"${part}_part"
finish
