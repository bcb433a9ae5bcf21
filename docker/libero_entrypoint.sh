#!/bin/sh
# Entry point of the client's image: vlaserve-libero. Before an evaluation in LIBERO it downloads LIBERO's
# assets to /assets, unless they are there. Results and videos go to a folder of /results and /videos that
# is called as RUN says, or after TASK_SUITE and SCOPE; PART is added where several containers share a run.
set -eu

name=${RUN:-${TASK_SUITE:-run}-${SCOPE:-default}}${PART:+-$PART}
export RESULTS_OUT_PATH="${RESULTS_OUT_PATH:-/results/$name}" VIDEO_OUT_PATH="${VIDEO_OUT_PATH:-/videos/$name}"

environment=libero
before=
for word in "$@"; do
  case "$word" in --environment=*) environment=${word#*=} ;; esac
  if [ "$before" = --environment ]; then environment=$word; fi
  before=$word
done

if [ "${1:-}" = eval ] && [ "$environment" = libero ] && [ ! -d /assets/scenes ]; then
  if [ ! -w /assets ]; then
    echo "libero_entrypoint.sh: /assets (LIBERO_ASSETS) has no LIBERO assets: expected scenes/, textures/, …" >&2
    exit 1
  fi
  # One of several clients that share the volume downloads; the others wait.
  exec 9>/assets/.lock
  flock 9
  [ -d /assets/scenes ] || install_simulator.sh --into-current --fetch-assets /assets
  exec 9>&-
fi
exec vlaserve-libero "$@"
