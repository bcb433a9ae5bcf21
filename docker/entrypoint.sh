#!/bin/sh
# Entry point of the server's image.
#
#   serve [OPTIONS]   serves what is mounted at /policy with the configuration /etc/vlaserve/server.json
#   anything else     is a vlaserve command: inspect /policy, layers --archive /policy, --help …
#
# /policy may be an archive, or a checkpoint folder, of which an archive is made in the cache volume once
# (settings: a name or file in POLICY, otherwise what the checkpoint says). Nothing there: the
# configuration names the archive; the image's own configuration names the demo policy. CKPT is the name
# that /policy has outside, for messages; where it is set, something must be there. SCOPE names a
# quantization preset.
set -eu

if [ "${1:-}" != serve ]; then
  exec vlaserve "$@"
fi
shift

fail() {
  echo "entrypoint.sh: $*" >&2
  exit 3
}

if [ -e /policy ] && [ ! -r /policy ]; then
  fail "user $(id -u) may not read what is mounted at /policy (CKPT=${CKPT:-})"
elif [ -f /policy ]; then
  set -- --set policy.archive=/policy "$@"
elif [ -n "$(ls -A /policy 2>/dev/null)" ]; then
  # Another file, size or time of change is another checkpoint.
  key=$({
    echo "${POLICY:-}"
    if [ -f "${POLICY:-}" ]; then cat "$POLICY"; fi
    cd /policy
    find -L . -type f -exec stat -L -c '%n %s %Y' {} + | sort
  } | sha256sum | cut -c 1-16)
  archive=/var/cache/vlaserve/archives/$key.pt
  if [ ! -e "$archive" ]; then
    mkdir -p /var/cache/vlaserve/archives
    vlaserve export --checkpoint /policy --out "$archive" ${POLICY:+--policy "$POLICY"}
  fi
  set -- --set policy.archive="$archive" "$@"
elif [ -n "${CKPT:-}" ]; then
  # Docker makes an empty folder of a path that does not exist.
  fail "CKPT=$CKPT is missing or empty; expected an archive or a checkpoint folder"
fi
exec vlaserve serve --config /etc/vlaserve/server.json ${SCOPE:+--set quant.preset="$SCOPE"} "$@"
