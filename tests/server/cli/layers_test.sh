#!/usr/bin/env bash
# `vlaserve layers` and `vlaserve config` for quantization, as a user's scripts call them.
#
#   layers_test.sh PROGRAM SOURCE_DIR commands
source "$(dirname "$0")/program.sh"

expert=paligemma_with_expert.gemma_expert.model.layers
llm=paligemma_with_expert.paligemma.model.language_model.layers
cat >"$work/linears.json" <<END
{"linears": [
  {"name": "$llm.0.self_attn.q_proj", "in": 2048, "out": 2048, "bias": false, "live": true},
  {"name": "$llm.0.mlp.down_proj", "in": 16384, "out": 2048, "bias": false, "live": true},
  {"name": "$expert.0.mlp.up_proj", "in": 1024, "out": 4096, "bias": false, "live": true},
  {"name": "action_out_proj", "in": 1024, "out": 32, "bias": true, "live": true}]}
END
echo '[{"name": "a.q_proj", "in_features": 16, "out_features": 32}]' >"$work/list.json"

# same FILE TEXT: the last run's stream is exactly this text.
same() {
  checks=$((checks + 1))
  if ! diff <(printf '%s\n' "$2") "$work/$1" >"$work/diff"; then
    failures=$((failures + 1))
    echo "FAILED: $1 is not what was expected:" >&2
    sed 's/^/    /' "$work/diff" >&2
  fi
}

expect 0 layers --linears "$work/linears.json"
silent out
says err "nothing is quantized" "preset fp"

OPENPI_DUQUANT_SCOPE=paligemma_with_expert.gemma_expert. OPENPI_DUQUANT_LS=0.15 \
  expect 0 layers --linears "$work/linears.json"
same out "[DUQUANT] SCOPE filter: 'paligemma_with_expert.gemma_expert.'
[DUQUANT] Matched Linear layers: 1
[DUQUANT][DRYRUN] $expert.0.mlp.up_proj: Linear(1024->4096) W4 A8 perm=True block_in=16 block_out=16 row_rot=restore
[DUQUANT] Dry-run total layers listed: 1"
says err "OPENPI_DUQUANT_LS=0.15: not applicable: " "OPENPI_DUQUANT_SCOPE=" "static_channel"

OPENPI_DUQUANT_DEBUG=1 expect 2 layers --linears "$work/linears.json"
says out "[DUQUANT] DEBUG: Total Linear layers in model: 4" "Dry-run total layers listed: 0"
says err "quant.select"
OPENPI_DUQUANT_BLOCK=16.0 expect 2 layers --linears "$work/linears.json"
silent out
says err "OPENPI_DUQUANT_BLOCK: invalid literal for int() with base 10: '16.0'"
expect 2 layers --linears "$work/linears.json" --set quant.engine=int \
  --set 'quant.select.include=(q_proj'
says err "quant.select.include" "missing ), unterminated subpattern at position 0"

expect 0 layers --linears "$work/list.json" --set quant.engine=int --set quant.select.scope=a.
says out "a.q_proj: Linear(16->32) W4 A8 perm=False block_in=64"

expect 0 layers --linears "$work/linears.json" --preset best_w4a8_pi0 --table
says out llm.0.down expert.0.up "4 g128" "8 g128" "hadamard 64" "total: 3 layers"
expect 0 layers --linears "$work/linears.json" --preset best_w4a8 --json
# 4 bits and a half-precision scale per 128: 2048 x 2048 takes 2048 * (1024 + 32) bytes.
says out '"bytes_bfloat16": 8388608' '"bytes_packed": 2162688' '"bytes_saved": 6225920' \
  '"site": "llm.0.q"' '"group": "llm.attn"'
expect 2 layers --linears "$work/linears.json" --preset best_w4a8 --json --table

expect 0 layers --verify-presets
says out "ok     dit_qkvo        pi05  72 layers" "ok     full_vision     pi0   414 layers"
expect 2 layers --linears "$work/linears.json" --preset best
says err "unknown preset" best_w4a8
expect 2 layers --preset best_w4a8
says err "--archive"
expect 3 layers --linears "$work/none.json"
echo '{"linears": [{"name": "a", "in": 0, "out": 1}]}' >"$work/bad.json"
expect 3 layers --linears "$work/bad.json" --preset best_w4a8
says err "bad.json: linear 0" in
expect 2 layers --linears "$work/linears.json" --archive "$work/p.pt"

expect 0 config presets
says out best_w4a8_pi0 "quantvla_w4a4"
expect 0 config show --set quant.preset=best_w4a8
says out "preset best_w4a8" "command line"
OPENPI_DUQUANT_BLOCK=32 expect 0 config show
says out "environment OPENPI_DUQUANT_BLOCK" "preset openpi_duquant"
expect 2 config check --set quant.preset=smoothquant
says err quant.transform.smooth.file
expect 2 config check --set quant.preset=llm --set quant.act.mode=static_channel
says err quant.act.mode
expect 2 config check --set quant.weight.group=100
says err "quant.weight.group" "0, 32, 64, 128 or 256"
expect 0 serve --help
says out quant.preset pack_cache.dir

finish
