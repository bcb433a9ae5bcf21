#!/usr/bin/env bash
# The closed loop in numbers: how often the demo policy solves libero_object in the simulator, in
# float32 and quantized, with objects where LIBERO has them and shifted; beside it the scripted
# controller and the open-loop replay. Prints the README's figures. Hours on a slow machine; may be
# interrupted and run again, and goes on where it was.
#
#   tests/libero/closed_loop.sh PYTHON FOLDER [WORKERS]
#
#   PYTHON    has LIBERO and vlaserve-libero (docker/libero/install_simulator.sh)
#   FOLDER    takes the results of each run
#   WORKERS   simulators at once (default: one per core)
#
# Environment: VLASERVE_BINARY (default: build/release/vlaserve).
set -euo pipefail

if [ $# -lt 2 ] || [ "$1" = --help ]; then
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
  exit $(($# < 2 ? 2 : 0))
fi
python=$(realpath -s "$1")
folder=$(realpath -m "$2")
workers=${3:-$(nproc)}
cd "$(dirname "$0")/../.."
vlaserve=${VLASERVE_BINARY:-build/release/vlaserve}
address=127.0.0.1:50070
shifts=configs/demo_policy/eval_shifts.json
server=
# Server and simulators share the cores.
export OMP_WAIT_POLICY=passive

mkdir -p "$folder"
[ -e "$folder/policy.pt" ] || "$vlaserve" export --checkpoint configs/demo_policy --out "$folder/policy.pt"

stop_server() {
  [ -z "$server" ] && return
  kill "$server" && wait "$server" || true
  server=
}
trap stop_server EXIT

# serve OPTIONS...
serve() {
  stop_server
  "$vlaserve" serve --set policy.archive="$folder/policy.pt" --set server.address="$address" \
    --set pack_cache.dir="$folder/packs" "$@" >"$folder/server.out" 2>"$folder/server.log" &
  server=$!
}

# evaluate NAME OPTIONS...
evaluate() {
  local name=$1
  shift
  echo "== $name"
  "$python" -m vlaserve_libero eval --suite libero_object --workers "$workers" --plots \
    --results "$folder/$name" "$@"
}
asked=(--server "$address")
stock=(--trials 10 --first-init-state 40)
shifted=(--trials 5 --first-init-state 40 --shifts "$shifts")

evaluate scripted --policy scripted --trials 5
evaluate open_loop-stock --policy open_loop "${stock[@]}"
evaluate open_loop-shifted --policy open_loop "${shifted[@]}"
serve
evaluate float32-stock "${asked[@]}" "${stock[@]}"
evaluate float32-shifted "${asked[@]}" "${shifted[@]}"
serve --set quant.preset=best_w4a8
evaluate w4a8-stock "${asked[@]}" "${stock[@]}"
evaluate w4a8-shifted "${asked[@]}" "${shifted[@]}"
serve --set quant.preset=best_w4a8 --set 'quant.select.groups=["llm.attn","llm.mlp"]'
evaluate w4a8_llm-shifted "${asked[@]}" "${shifted[@]}"
serve --set quant.preset=best_w4a8 --set 'quant.select.groups=["expert.attn","expert.mlp"]'
evaluate w4a8_expert-shifted "${asked[@]}" "${shifted[@]}"

for pair in "float32-stock w4a8-stock" "float32-shifted w4a8-shifted" \
  "float32-shifted w4a8_llm-shifted" "float32-shifted w4a8_expert-shifted"; do
  read -r a b <<<"$pair"
  echo "== $a against $b"
  "$python" -m vlaserve_libero compare "$folder/$a" "$folder/$b"
done
"$python" -m vlaserve_libero plot "$folder/success.png" \
  --panel "libero_object, init states 40-49" "float32=$folder/float32-stock" \
  "W4A8=$folder/w4a8-stock" "open-loop replay=$folder/open_loop-stock" \
  --panel "objects shifted, init states 40-44" "float32=$folder/float32-shifted" \
  "W4A8=$folder/w4a8-shifted" "open-loop replay=$folder/open_loop-shifted"
