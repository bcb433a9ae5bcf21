#!/usr/bin/env bash
# Drives the real program as a user's scripts do: exit codes, what goes to which stream, and one
# server from start to SIGTERM. Servers listen on ports that the system chooses.
#
#   program_test.sh PROGRAM SOURCE_DIR usage|config|files|serve
source "$(dirname "$0")/program.sh"

usage_part() {
  expect 2
  says err "subcommand"
  silent out
  expect 2 serv
  expect 2 serve --port 7
  expect 2 inspect
  expect 2 inspect a.pt b.pt
  expect 2 synth pi7 --out "$work/x"
  expect 2 synth pi0 --size huge --out "$work/x"
  expect 2 synth pi0 --seed -1 --out "$work/x"
  expect 2 synth pi0 --seed 18446744073709551616 --out "$work/x"
  expect 2 synth pi0 --out ""
  expect 2 export --out "$work/x.pt"
  expect 2 export --checkpoint a --from b --out "$work/x.pt"
  expect 2 export --from a.pt --out "$work/x.pt"
  says err "--policy or --norm-stats"
  expect 2 export --from a.pt --out "$work/x.pt" --policy pi0_libero --dtype float32
  expect 2 export --checkpoint "$source_dir/configs/demo_policy" --out "$work/x.pt" --policy pi7
  says err "pi0_libero"
  expect 2 check --archive a.pt
  expect 2 check --archive a.pt --golden b --compute-dtype float16
  expect 2 infer --server nowhere --state 1
  says err "HOST:PORT"
  expect 2 infer --server "" --state 1
  says err "HOST:PORT"
  expect 2 infer --state 1 --seed -1
  expect 2 infer --state 1 --seed 18446744073709551616
  says err "found \"18446744073709551616\""
  expect 2 infer --request ""
  says err "empty argument"
  expect 2 config check --config ""
  says err "empty argument"
  expect 2 export --checkpoint "$source_dir/configs/demo_policy" --out "$work/x.pt" --tokenizer ""
  says err "empty argument"
  expect 2 infer --state 1 --num-steps -1
  expect 2 infer --state -1,x
  says err '"x" at position 1'
  expect 2 infer --image picture.png
  says err "NAME=FILE"
  expect 2 infer --image a="$work/none.png"
  says err "none.png"
  expect 2 infer --request "$work/none.json"
  expect 2 infer --request - --state 1
  expect 2 infer --timeout 0
  expect 2 config
  silent out

  # grpc_health_probe's codes: 1 usage, 2 no connection.
  expect 1 health --adress x
  expect 1 health --address nowhere
  expect 1 health --timeout -1
  expect 2 health --address 127.0.0.1:1 --timeout 1
  silent out
  expect 1 infer --server 127.0.0.1:1 --state 1 --timeout 2
  says err "vlaserve infer: " "UNAVAILABLE"
  silent out

  expect 0 --help
  says out serve config export inspect check synth infer health "Exit codes"
  silent err
  expect 0 serve --help
  says out "--set" "server.queue_capacity" "VLASERVE_SERVER_ADDRESS"
  expect 0 --version
  says out "vlaserve " "commit " "build " "libtorch " "cuda " "isa "
}

config_part() {
  expect 0 config schema
  checks=$((checks + 1))
  cmp -s "$work/out" "$source_dir/configs/schema.json" || {
    failures=$((failures + 1))
    echo "FAILED: config schema differs from configs/schema.json" >&2
  }
  expect 0 config table
  says out "| \`server.address\` |"

  local config=$work/config.json
  echo '{"policy": {"archive": "p.pt"}, "server": {"drain_seconds": 3}}' >"$config"
  expect 0 config check --config "$config"
  expect 0 config show --config "$config" --set server.insecure=true
  says out "$work/p.pt" "file $config" "command line" "default"
  silent err
  VLASERVE_SERVER_DRAIN_SECONDS=4 expect 0 config show --json --config "$config"
  says out '"value": 4' '"origin": "VLASERVE_SERVER_DRAIN_SECONDS"'
  VLASERVE_SERVER_ADRESS=x expect 0 config check
  says err VLASERVE_SERVER_ADRESS

  # What `check` refuses, `serve` refuses in the same words.
  local command words
  for command in "config check" serve; do
    read -ra words <<<"$command"
    echo '{"server": {"adress": "127.0.0.1:0"}}' >"$config"
    expect 2 "${words[@]}" --config "$config"
    says err "$config: /server/adress: unknown key"
    echo '{"server": {"queue_capacity": "many"}}' >"$config"
    expect 2 "${words[@]}" --config "$config"
    says err "$config: /server/queue_capacity: expected an integer"
    echo '{"log": {}, "log": {}}' >"$config"
    expect 2 "${words[@]}" --config "$config"
    says err "$config" "/log"
    echo '{} // comment' >"$config"
    expect 2 "${words[@]}" --config "$config"
    says err "$config"
    printf '\xEF\xBB\xBF{}' >"$config"
    expect 2 "${words[@]}" --config "$config"
    says err "$config" "byte order mark"
    expect 2 "${words[@]}" --config "$work/none.json"
    says err "none.json"
    expect 2 "${words[@]}" --set nothing
    expect 2 "${words[@]}" --set server.nothing=1
    says err "--set server.nothing"
    VLASERVE_RUNTIME_THREADS=two expect 2 "${words[@]}"
    says err VLASERVE_RUNTIME_THREADS
    silent out
  done
  expect 2 serve
  says err policy.archive
  if ! "$program" --version | grep -q '^cuda yes'; then
    expect 5 serve --set policy.archive="$work/p.pt" --set runtime.device=cuda
    says err runtime.device CUDA
  fi
}

files_part() {
  local bad
  : >"$work/empty.pt"
  head -c 5000 /dev/urandom >"$work/random.pt"
  export_demo
  local size
  size=$(stat -c %s "$work/policy.pt")
  head -c $((size / 2)) "$work/policy.pt" >"$work/half.pt"
  for bad in "$work/none.pt" "$work/empty.pt" "$work/random.pt" "$work/half.pt" "$work"; do
    expect 3 inspect "$bad"
    says err "$bad"
    silent out
    expect 3 check --archive "$bad" --golden "$source_dir/tests/golden/tiny_pi0"
    expect 3 serve --set policy.archive="$bad" --set server.address=127.0.0.1:0
    expect 3 export --from "$bad" --out "$work/x.pt" --policy pi0_libero
  done
  expect 3 export --checkpoint "$work/none" --out "$work/x.pt"
  mkdir "$work/no_checkpoint"
  expect 3 export --checkpoint "$work/no_checkpoint" --out "$work/x.pt"
  says err "$work/no_checkpoint"
  expect 1 check --archive "$work/policy.pt" --golden "$work/no_checkpoint"
  expect 2 export --checkpoint "$source_dir/configs/demo_policy" --out "$work/x.pt" \
    --policy "$source_dir/configs/demo.json"
  says err "configs/demo.json"

  # File names are bytes, not UTF-8.
  local odd=$work/$'odd\xff'
  cp "$work/policy.pt" "$odd.pt"
  expect 0 inspect "$odd.pt" --json
  says out '"file_bytes"'
  cp "$source_dir/configs/demo_policy/tokenizer.model" "$odd.model"
  expect 0 export --checkpoint "$source_dir/configs/demo_policy" --out "$work/odd_export.pt" \
    --tokenizer "$odd.model"
  cp -r "$source_dir/configs/demo_policy" "$odd"
  expect 0 check --archive "$odd.pt" --golden "$odd" --json
  says out '"passed": true'

  if [[ -e $work/x.pt ]]; then
    failures=$((failures + 1))
    echo "FAILED: an export that failed left its archive behind" >&2
  fi

  expect 0 inspect "$work/policy.pt" --verify
  says out "action_in_proj"
  expect 0 inspect "$work/policy.pt" --json
  # One flipped bit in the middle of the weights.
  cp "$work/policy.pt" "$work/flipped.pt"
  local byte
  byte=$(od -An -tu1 -j $((size / 2)) -N 1 "$work/flipped.pt")
  printf '%b' "\\x$(printf %02x $((byte ^ 1)))" |
    dd of="$work/flipped.pt" bs=1 seek=$((size / 2)) conv=notrunc status=none
  expect 1 inspect "$work/flipped.pt" --verify
  says out "damaged: "
  expect 1 inspect "$work/flipped.pt" --verify --json
  says out '"ok": false'

  # Other settings, the same weights.
  sed 's/"num_steps": [0-9]*/"num_steps": 3/' "$source_dir/configs/demo_policy/policy.json" \
    >"$work/policy.json"
  expect 0 export --from "$work/policy.pt" --out "$work/three.pt" --policy "$work/policy.json"
  expect 0 inspect "$work/three.pt" --verify --json
  says out '"num_steps": 3'

  expect 0 synth pi05 --size tiny --seed 1 --out "$work/synth"
  expect 0 export --checkpoint "$work/synth" --out "$work/synth.pt"
  expect 0 inspect "$work/synth.pt" --verify
}

serve_part() {
  local demo=$source_dir/configs/demo_policy
  export_demo
  expect 0 check --archive "$work/policy.pt" --golden "$demo"
  start_server
  says log "archive: " "policy: " "sizes: " "compute: float32 on cpu" "engine: off, 0 of "
  local address=127.0.0.1:$port

  expect 0 health --address "$address"
  VLASERVE_SERVER_ADDRESS=$address expect 0 health --service vlaserve.v1.PolicyService
  expect 3 health --address "$address" --service nobody

  # The port is taken: a second server must not share it.
  expect 4 serve --set policy.archive="$work/policy.pt" --set server.address="$address"
  says err "$address"

  local state prompt
  state=$(tr -d ' \n' <"$demo/observation/state.csv")
  prompt=$(cat "$demo/observation/prompt.txt")
  local ask=(infer --server "$address" --image image="$demo/observation/image.png"
    --image wrist_image="$demo/observation/wrist_image.png" --state="$state" --seed 7)
  expect 0 "${ask[@]}" --prompt "$prompt"
  says out "seed 7"
  silent err
  grep -v seed "$work/out" >"$work/first"
  expect 0 "${ask[@]}" --prompt "$prompt"
  grep -v seed "$work/out" >"$work/second"
  checks=$((checks + 1))
  cmp -s "$work/first" "$work/second" || {
    failures=$((failures + 1))
    echo "FAILED: the same seed gave other actions" >&2
  }
  expect 0 "${ask[@]}" --prompt "$prompt" --num-steps 2 --json
  says out '"actions"' '"horizon"' '"seed"'

  # Refused requests name the field; the next valid one is answered.
  expect 1 infer --server "$address" --image camera="$demo/observation/image.png" \
    --state="$state" --prompt "$prompt"
  says err INVALID_ARGUMENT images
  expect 1 "${ask[@]}"
  says err INVALID_ARGUMENT prompt
  expect 1 "${ask[@]}" --prompt ""
  says err INVALID_ARGUMENT prompt
  expect 1 "${ask[@]}" --prompt "$prompt" --num-steps 1000
  says err INVALID_ARGUMENT num_steps
  expect 1 "${ask[@]:0:7}" --prompt "$prompt" --state "nan,${state#*,}"
  says err INVALID_ARGUMENT state
  expect 1 "${ask[@]:0:7}" --prompt "$prompt" --state 1,2
  says err INVALID_ARGUMENT state
  silent out
  local pictures
  pictures=$(for name in image wrist_image; do
    printf '"%s": {"encoding": "ENCODING_PNG", "data": "%s"},' "$name" \
      "$(base64 -w 0 "$demo/observation/$name.png")"
  done)
  printf '{"images": {%s}, "state": [%s], "prompt": "%s", "seed": 7, "request_id": "from-json"}' \
    "${pictures%,}" "$state" "$prompt" >"$work/request.json"
  expect 0 infer --server "$address" --request "$work/request.json" --json
  says out from-json
  expect 0 infer --server "$address" --request - <"$work/request.json"
  grep -v seed "$work/out" >"$work/third"
  checks=$((checks + 1))
  cmp -s "$work/first" "$work/third" || {
    failures=$((failures + 1))
    echo "FAILED: the same request as JSON gave other actions" >&2
  }
  echo '{"states": [1]}' >"$work/request.json"
  expect 2 infer --server "$address" --request "$work/request.json"
  says err states

  stop_server
  checks=$((checks + 1))
  if [[ $stopped -ne 0 ]]; then
    failures=$((failures + 1))
    echo "FAILED: SIGTERM ended the server with exit code $stopped" >&2
  fi
  says log "stopped"
  silent server.out
  expect 2 health --address "$address"
}

"${part}_part"
finish
