#!/usr/bin/env bash
# `vlaserve calibrate` and the parts of `vlaserve check` that are about quantization.
#
#   quant_checks_test.sh PROGRAM SOURCE_DIR calibrate|equivalence|report|golden
source "$(dirname "$0")/program.sh"
demo=$source_dir/configs/demo_policy

# write_request FILE [SEED]: the demo observation as an InferRequest in JSON.
write_request() {
  local state pictures
  state=$(tr -d ' \n' <"$demo/observation/state.csv")
  pictures=$(for name in image wrist_image; do
    printf '"%s": {"encoding": "ENCODING_PNG", "data": "%s"},' "$name" \
      "$(base64 -w 0 "$demo/observation/$name.png")"
  done)
  printf '{"images": {%s}, "state": [%s], "prompt": "%s"%s}' "${pictures%,}" "$state" \
    "$(cat "$demo/observation/prompt.txt")" "${2:+, \"seed\": $2}" >"$1"
}

# same FILE FILE: checks that two files hold the same bytes.
same() {
  checks=$((checks + 1))
  cmp -s "$1" "$2" || {
    failures=$((failures + 1))
    echo "FAILED: $(basename "$1") and $(basename "$2") differ" >&2
  }
}

# is_missing FILE: checks that nothing was left there.
is_missing() {
  checks=$((checks + 1))
  if [[ -e $1 ]]; then
    failures=$((failures + 1))
    echo "FAILED: $1 was left behind" >&2
  fi
}

calibrate_part() {
  export_demo
  local archive=$work/policy.pt out=$work/c.safetensors
  local calibrate=(calibrate --archive "$archive" --out "$out")

  expect 2 calibrate --archive "$archive" --golden "$demo"
  expect 2 "${calibrate[@]}"
  says err "--golden" "--request"
  expect 3 calibrate --archive "$work/none.pt" --out "$out" --golden "$demo"
  expect 3 "${calibrate[@]}" --golden "$work"
  says err "cases.json"
  expect 2 "${calibrate[@]}" --golden "$demo" --samples -1
  expect 2 "${calibrate[@]}" --golden "$demo" --num-steps 0
  expect 2 "${calibrate[@]}" --golden "$demo" --preset no_such_preset
  says err "no_such_preset"
  expect 2 "${calibrate[@]}" --request "$work/none.json"
  says err "none.json"
  echo '{"states": [1]}' >"$work/bad.json"
  expect 2 "${calibrate[@]}" --request "$work/bad.json"
  says err "bad.json" "states"
  echo '{"state": [1]}' >"$work/bad.json"
  expect 2 "${calibrate[@]}" --request "$work/bad.json"
  says err "bad.json" "images[image]"
  expect 3 calibrate --archive "$archive" --out "$work/none/c.safetensors" --golden "$demo"
  says err "$work/none"
  is_missing "$out"

  write_request "$work/request.json" 7
  expect 0 "${calibrate[@]}" --request "$work/request.json" --num-steps 2 --samples 4
  says out "$out" "1 observations" "2 denoise steps"
  mv "$out" "$work/first"
  expect 0 "${calibrate[@]}" --request "$work/request.json" --num-steps 2 --samples 4
  same "$out" "$work/first"
  # Without a seed in the request, the place of the request is the seed.
  write_request "$work/unseeded.json"
  expect 0 "${calibrate[@]}" --request "$work/unseeded.json" --num-steps 2 --samples 4
  mv "$out" "$work/first"
  expect 0 "${calibrate[@]}" --request "$work/unseeded.json" --num-steps 2 --samples 4
  same "$out" "$work/first"

  expect 2 "${calibrate[@]}" --observations "$work"
  says err "index.json"
  mkdir "$work/folder"
  local state
  state=$(tr -d ' \n' <"$demo/observation/state.csv")
  printf '[{"observation/image": "image.png", "observation/wrist_image": "none.png",
            "observation/state": [%s], "prompt": "pick up the milk"}]' "$state" \
    >"$work/folder/index.json"
  cp "$demo"/observation/*.png "$work/folder"
  expect 2 "${calibrate[@]}" --observations "$work/folder"
  says err "none.png"
  sed -i s/none.png/wrist_image.png/ "$work/folder/index.json"
  expect 0 "${calibrate[@]}" --observations "$work/folder" --request "$work/request.json" \
    --num-steps 1 --samples 4
  says out "2 observations"

  # What the configuration selects: 7 linears of each of the demo's 4 language model layers.
  expect 0 "${calibrate[@]}" --request "$work/request.json" --num-steps 1 --preset llm --json
  says out '"layers": 28' '"observations": 1' '"num_steps": 1'
}

equivalence_part() {
  export_demo
  local check=(check --archive "$work/policy.pt" --equivalence)
  write_request "$work/request.json" 7
  local few=(--request "$work/request.json" --num-steps 2)

  expect 2 "${check[@]}"
  says err "--golden"
  expect 2 check --equivalence --golden "$demo"
  says err "--archive is required"
  expect 2 "${check[@]}" "${few[@]}" --reference actions
  says err "--reference has no meaning for --equivalence"
  expect 2 "${check[@]}" "${few[@]}" --quant-report
  expect 2 check --archive "$work/policy.pt" --golden "$demo" --preset llm
  says err "--preset has no meaning"
  expect 1 "${check[@]}" --golden "$work/none"
  expect 2 "${check[@]}" "${few[@]}" --set quant.transform.block=48
  says err "quant.transform.block"

  expect 0 "${check[@]}" "${few[@]}"
  says out "request.json" "passed"
  expect 0 "${check[@]}" --golden "$demo" --num-steps 1 --preset full --json
  says out '"passed": true' '"case0"' '"layers": 56'
  expect 1 "${check[@]}" "${few[@]}" --tolerance 0
  says out "FAILED"

  # openpi_duquant's recipe for equivalence.
  OPENPI_DUQUANT_WBITS_DEFAULT=32 OPENPI_DUQUANT_ABITS=32 \
    OPENPI_DUQUANT_SCOPE=paligemma_with_expert.gemma_expert.model. \
    expect 0 "${check[@]}" "${few[@]}"
  says out "W32 A32 is taken as W0 A0" "28 layers" "passed"
  expect 0 "${check[@]}" "${few[@]}" --set quant.weight.bits=32
  says out "W32 A8 is taken as W0 A0"
  OPENPI_DUQUANT_SCOPE=no.such.scope expect 2 "${check[@]}" "${few[@]}"
  says err "no.such.scope"

  # Transforms that look at activations need a calibration, of these weights.
  expect 2 "${check[@]}" "${few[@]}" --set quant.transform.permute=act_snake
  says err "quant.calibration_file"
  expect 0 calibrate --archive "$work/policy.pt" "${few[@]}" --out "$work/c.safetensors"
  expect 0 "${check[@]}" "${few[@]}" --set quant.transform.permute=act_snake \
    --set quant.calibration_file="$work/c.safetensors"
  expect 0 synth pi05 --size tiny --seed 1 --out "$work/synth"
  expect 0 export --checkpoint "$work/synth" --out "$work/synth.pt"
  expect 2 check --archive "$work/synth.pt" --equivalence --golden "$source_dir/tests/golden/tiny_pi05" \
    --num-steps 1 --set quant.transform.permute=act_snake \
    --set quant.calibration_file="$work/c.safetensors"
  says err "other weights" "c.safetensors"
}

report_part() {
  export_demo
  write_request "$work/request.json" 7
  local check=(check --archive "$work/policy.pt" --quant-report --request "$work/request.json"
    --num-steps 2)
  expect 2 "${check[@]}" --preset fp
  says err "nothing is quantized"
  expect 2 "${check[@]}" --preset plain_w4a8 --tolerance 1
  expect 0 "${check[@]}" --preset plain_w4a8 --out "$work/report.json" --top 3
  says out "weight NMSE" "cosine" "and 53 better ones" "request.json"
  says report.json '"preset": "plain_w4a8"' '"output_nmse"' '"weight_nmse"' '"chunk_summary"'
  expect 0 "${check[@]}" --preset plain_w4a8 --json
  same "$work/out" "$work/report.json"
  expect 3 "${check[@]}" --preset plain_w4a8 --out "$work/none/report.json"
}

golden_part() {
  local golden=$source_dir/tests/golden/quant
  expect 2 check --quant-golden "$golden" --archive a.pt
  says err "--archive has no meaning for --quant-golden"
  expect 1 check --quant-golden "$work/none"
  says err "$work/none"
  mkdir "$work/empty"
  expect 1 check --quant-golden "$work/empty"

  expect 0 check --quant-golden "$golden"
  says out "int_oracle: " "legacy: " "selection: " "logs: " " cases run" "passed"
  expect 0 check --quant-golden "$golden/selection"
  says out "selection: "
  expect 0 check --quant-golden "$golden/logs"
  says out "logs: "
  expect 0 check --quant-golden "$golden/int_oracle" --json
  says out '"passed": true' '"int_oracle"'
  # One changed byte among the numbers.
  cp -r "$golden" "$work/golden"
  local file size byte
  for kind in int_oracle legacy/cases; do
    file=$(find "$work/golden/$kind" -maxdepth 1 -name '*.safetensors' -size +4k | sort | head -n 1)
    size=$(stat -c %s "$file")
    byte=$(od -An -tu1 -j $((size - 2)) -N 1 "$file")
    printf '%b' "\\x$(printf %02x $((byte ^ 85)))" |
      dd of="$file" bs=1 seek=$((size - 2)) conv=notrunc status=none
    expect 1 check --quant-golden "$work/golden"
    says out "FAILED"
    cp -r "$golden/." "$work/golden"
  done
  sed -i 's/\[DUQUANT\] SCOPE filter/[DUQUANT] Scope filter/' "$work/golden/logs/logs.json"
  expect 1 check --quant-golden "$work/golden"
  says out "FAILED" "lines: [0]: " "Scope filter" "SCOPE filter"
}

"${part}_part"
finish
