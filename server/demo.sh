#!/usr/bin/env bash
# From a fresh clone to an action chunk: sets up, builds, exports the demo policy, serves it, and asks
# it over gRPC what to do with one frame of the LIBERO simulator.
#
#   server/demo.sh [--keep]
#
#   --keep   leave the server running and print how to ask it
set -euo pipefail
cd "$(dirname "$0")/.."

keep=false
for argument in "$@"; do
  case "$argument" in
    --keep) keep=true ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "demo.sh: unknown argument '$argument' (see --help)" >&2; exit 2 ;;
  esac
done

address=${VLASERVE_SERVER_ADDRESS:-127.0.0.1:50051}
observation=configs/demo_policy/observation
vlaserve=build/release/vlaserve
archive=build/demo/policy.pt
log=build/demo/server.log

bash docker/setup.sh

echo "== build"
cmake --preset release >/dev/null
cmake --build --preset release --target vlaserve -- --quiet

mkdir -p build/demo
echo "== export configs/demo_policy to $archive"
"$vlaserve" export --checkpoint configs/demo_policy --out "$archive"

echo "== serve it on $address (log: $log)"
"$vlaserve" serve --config configs/demo.json --set server.address="$address" 2>"$log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
  "$vlaserve" health --server "$address" >/dev/null 2>&1 && break
  if ! kill -0 "$server" 2>/dev/null; then
    echo "demo.sh: the server stopped:" >&2
    cat "$log" >&2
    exit 1
  fi
  sleep 0.1
done

ask=("$vlaserve" infer --server "$address"
  --image "image=$observation/image.png" --image "wrist_image=$observation/wrist_image.png"
  --state "$(tr -d ' \n' <"$observation/state.csv")" --prompt "$(cat "$observation/prompt.txt")" --seed 7)
echo "== ask it about one frame: \"$(cat "$observation/prompt.txt")\""
"${ask[@]}"

if $keep; then
  trap - EXIT
  echo
  echo "The server goes on (process $server). Ask it again:"
  printf ' %q' "${ask[@]}"
  echo
  echo "Stop it: kill $server"
fi
