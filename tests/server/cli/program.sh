# What scripts that drive the real program share. To be sourced by a script with the arguments
# PROGRAM SOURCE_DIR PART; sets $program, $source_dir, $part and $work, a folder that is removed at
# the end. With $server set to a process id, that process is ended too.
set -uo pipefail
program=$1
source_dir=$2
part=$3
unset "${!VLASERVE_SERVER_@}" "${!VLASERVE_RUNTIME_@}" "${!VLASERVE_POLICY_@}" "${!VLASERVE_LOG_@}" \
  "${!VLASERVE_QUANT_@}" "${!VLASERVE_PACK_CACHE_@}" "${!OPENPI_@}" "${!ATM_@}" "${!SMOOTHQUANT_@}"

# LibTorch's OpenMP threads spin while they wait; on a machine that is busy with other tests, that
# makes an inference a hundred times slower than sleeping does.
export OMP_WAIT_POLICY=passive

work=$(mktemp -d)
server=
# No pack cache of the user is touched.
export XDG_CACHE_HOME=$work/cache
clean_up() {
  if [[ -n $server ]]; then
    kill -KILL "$server" 2>/dev/null
    wait "$server" 2>/dev/null
  fi
  rm -rf "$work"
}
trap clean_up EXIT
checks=0
failures=0

# expect CODE ARGUMENTS...: runs the program (bounded in time), keeps its streams in $work/out and
# $work/err, and checks the exit code.
expect() {
  local code=$1 got=0
  shift
  timeout 120 "$program" "$@" >"$work/out" 2>"$work/err" || got=$?
  checks=$((checks + 1))
  if [[ $got -ne $code ]]; then
    failures=$((failures + 1))
    echo "FAILED: vlaserve $*: exit code $got, expected $code" >&2
    sed 's/^/    /' "$work/out" "$work/err" >&2
  fi
}

# says STREAM TEXT...: the last run's stream (out, err) or a file contains every text.
says() {
  local file=$work/$1 text
  shift
  for text in "$@"; do
    checks=$((checks + 1))
    if ! grep -qF -- "$text" "$file"; then
      failures=$((failures + 1))
      echo "FAILED: expected \"$text\" in $(basename "$file"):" >&2
      sed 's/^/    /' "$file" >&2
    fi
  done
}

silent() {
  checks=$((checks + 1))
  if [[ -s $work/$1 ]]; then
    failures=$((failures + 1))
    echo "FAILED: expected nothing on $1:" >&2
    sed 's/^/    /' "$work/$1" >&2
  fi
}

# export_demo: the demo policy as $work/policy.pt.
export_demo() {
  expect 0 export --checkpoint "$source_dir/configs/demo_policy" --out "$work/policy.pt"
}

# start_server ARGUMENTS...: serves $work/policy.pt; sets $server and $port.
start_server() {
  "$program" serve --set policy.archive="$work/policy.pt" --set server.address=127.0.0.1:0 \
    "$@" >"$work/server.out" 2>"$work/log" &
  server=$!
  for _ in $(seq 600); do
    grep -qE ' serving$' "$work/log" && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  port=$(sed -n 's/.*address: .*(port \([0-9]*\)).*/\1/p' "$work/log")
  if [[ -z $port ]]; then
    echo "FAILED: the server does not serve:" >&2
    cat "$work/log" >&2
    exit 1
  fi
}

# Ends the server with SIGTERM; its exit code is in $stopped.
stop_server() {
  stopped=0
  kill -TERM "$server"
  wait "$server" || stopped=$?
  server=
}

# finish: the last line; the script's exit code is that of the checks.
finish() {
  echo "$(basename "$0") $part: $checks checks, $failures failed"
  [[ $failures -eq 0 ]]
}
