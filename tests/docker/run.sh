#!/usr/bin/env bash
# Builds both images and brings the compose file up, without a Docker engine: buildah, podman and
# podman-compose, all of Debian 12. As root. Takes half an hour and 20 GB; CI runs check.py instead.
#
#   tests/docker/run.sh [FOLDER]
#
#   FOLDER   for images and results (default: a new one under /tmp). Stays, so that a second run is quicker.
#
# Environment, all optional:
#   VLASERVE_MIRROR         Debian mirror for the base image, where no image registry can be reached
#   VLASERVE_CA             bundle of certificates that pip needs in the build
#   VLASERVE_CCACHE         ccache folder for the compilation
#   VLASERVE_LIBERO_ASSETS  LIBERO's assets folder; without it no episode in LIBERO is run
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" = -h ] || [ "${1:-}" = --help ]; then
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
  exit 0
fi
work=$(realpath "${1:-$(mktemp -d /tmp/vlaserve_docker.XXXXXX)}")
mkdir -p "$work/results/videos"
project=vlaserve_test
port=50971

say() { echo "== $*"; }
fail() {
  echo "run.sh: $*" >&2
  exit 1
}
# compose ARGUMENTS...: without the lines that podman prints for want of systemd.
compose() { podman-compose -p "$project" -f docker/compose.yaml "$@" 2> >(grep -v systemd >&2); }
log_of() { podman logs "${project}_$1_1" 2>&1; }

packages=(podman buildah runc iptables netavark aardvark-dns podman-compose debootstrap)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
fi

# Containers get the limits of this process; podman's own may be above what is allowed here.
cat >"$work/containers.conf" <<CONF
[containers]
default_ulimits=["nofile=$(ulimit -Sn):$(ulimit -Sn)","nproc=1024:1024"]
[engine]
runtime="runc"
CONF
cat >"$work/storage.conf" <<CONF
[storage]
driver="vfs"
graphroot="$work/storage"
runroot="$work/run"
CONF
export CONTAINERS_CONF="$work/containers.conf" CONTAINERS_STORAGE_CONF="$work/storage.conf"

base=docker.io/library/debian:bookworm-slim
if ! podman image exists "$base" && ! timeout 60 podman pull -q "$base"; then
  mirror=${VLASERVE_MIRROR:?no image registry: VLASERVE_MIRROR must name a Debian mirror}
  say "base image from $mirror"
  debootstrap --variant=minbase bookworm "$work/base" "$mirror" >"$work/debootstrap.log"
  # As Debian's slim images do.
  rm -rf "$work"/base/usr/share/{doc,man,locale,info}/* "$work"/base/var/cache/apt/{*.bin,archives/*.deb} \
    "$work"/base/var/lib/apt/lists/* "$work"/base/var/log/*.log
  tar -C "$work/base" -c . | podman import - "$base"
  rm -rf "$work/base"
fi

build=(buildah bud --isolation chroot --format docker)
if [ -n "${VLASERVE_CA:-}" ]; then
  build+=(-v "$VLASERVE_CA:/usr/local/share/host-ca.crt:ro"
    --build-arg PIP_CERT=/usr/local/share/host-ca.crt)
fi
say "server image"
ccache=()
builder_home=/root
if [ -n "${VLASERVE_CCACHE:-}" ]; then ccache=(-v "$VLASERVE_CCACHE:$builder_home/.cache/ccache"); fi
"${build[@]}" ${ccache[@]+"${ccache[@]}"} -t localhost/vlaserve:latest -f docker/Dockerfile .
say "client image"
"${build[@]}" -t localhost/vlaserve-libero:latest -f docker/Dockerfile.libero .

say "sizes"
podman images --format '{{.Repository}} {{.Size}}'
size=$(podman image inspect localhost/vlaserve --format '{{.Size}}')
[ "$size" -le 700000000 ] || fail "the server's image has $size bytes, more than 700 MB"

export SERVER_PORT=$port RESULTS_OUT_PATH="$work/results" VIDEO_OUT_PATH="$work/results/videos"
if [ -n "${VLASERVE_LIBERO_ASSETS:-}" ]; then export LIBERO_ASSETS=$VLASERVE_LIBERO_ASSETS; fi
rm -rf "$work"/results/*-*
chown -R 1000:1000 "$work/results"
trap 'compose down >/dev/null 2>&1 || true' EXIT

# serve: starts the server and waits until its health probe passes.
serve() {
  compose up --no-build -d server >/dev/null
  for _ in $(seq 120); do
    podman healthcheck run "${project}_server_1" >/dev/null 2>&1 && return
    sleep 1
  done
  log_of server >&2
  fail "the server does not get healthy"
}

# evaluate NAME EPISODES: runs the client's service and checks what lies in the mounted folder.
evaluate() {
  compose up --no-build -d libero >/dev/null
  local status
  status=$(timeout 900 podman wait "${project}_libero_1") || fail "$1 takes too long"
  log_of libero
  podman rm "${project}_libero_1" >/dev/null 2>&1
  [ "$status" = 0 ] || fail "$1: exit status $status"
  [ "$(wc -l <"$work/results/$1/episodes.jsonl")" = "$2" ] || fail "$1: not $2 episodes"
  [ -s "$work/results/$1/results.json" ] || fail "$1: no results.json"
  [ -n "$(find "$work/results/videos/$1" -name '*.mp4')" ] || fail "$1: no video"
}

# stop: as `down` does, and checks that the server drained in time.
stop() {
  compose stop -t 30 server >/dev/null
  local status
  status=$(podman inspect "${project}_server_1" --format '{{.State.ExitCode}}')
  log_of server | tail -3
  [ "$status" = 0 ] || fail "after SIGTERM the server's exit status is $status"
  # Not grep -q: it would leave before podman has written all, which pipefail takes for a failure.
  log_of server | grep 'state=stopped' >/dev/null || fail "the server did not drain"
  compose down >/dev/null
}

say "fake environment"
serve
[ "$(podman exec "${project}_server_1" id -u)" = 1000 ] || fail "the server runs as another user"
if podman exec "${project}_server_1" touch /opt/vlaserve/x 2>/dev/null; then
  fail "the server's file system is not read-only"
fi
ENVIRONMENT=fake TASK_SUITE=pick_and_place NUM_TRIALS=1 evaluate pick_and_place-default 3
stop

say "SCOPE and CKPT"
export SCOPE=best_w4a8 CKPT="$PWD/configs/demo_policy"
serve
log_of server | grep 'linears quantized' | grep 'preset best_w4a8' || fail "SCOPE had no effect"
log_of server | grep 'archive: /var/cache/vlaserve/archives/' || fail "CKPT had no effect"
if [ -n "${VLASERVE_LIBERO_ASSETS:-}" ]; then
  say "LIBERO"
  NUM_TRIALS=1 LIBERO_OPTIONS=--tasks=0 evaluate libero_object-best_w4a8 1
else
  echo "skipped: no VLASERVE_LIBERO_ASSETS, so that no episode in LIBERO was run"
fi
stop

say "a folder that is not there stops the server"
export CKPT="$work/empty"
mkdir -p "$CKPT"
compose up --no-build -d server >/dev/null
[ "$(timeout 60 podman wait "${project}_server_1")" = 3 ] || fail "the exit status is not 3"
log_of server | grep 'is missing or empty' || fail "the server does not say what is wrong"
say "ok; images and results are in $work"
