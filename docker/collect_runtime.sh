#!/usr/bin/env bash
# Collects what a runtime image needs besides Debian's packages. Called by docker/Dockerfile.
#
#   docker/collect_runtime.sh PROGRAM FOLDER
#
# Writes FOLDER/bin/PROGRAM, FOLDER/lib/ with the shared objects that it loads from .deps (LibTorch and
# what that needs; symbols for debuggers are removed, a fifth of their size), and
# FOLDER/debian_packages, the names of the packages that hold all others.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: collect_runtime.sh PROGRAM FOLDER" >&2
  exit 2
fi
program=$1
target=$2
deps=$(cd "$(dirname "$0")/../.deps" && pwd)

mkdir -p "$target/bin" "$target/lib"
install -m 755 "$program" "$target/bin/"
strip "$target/bin/$(basename "$program")"

# ldd prints "name => path (address)".
objects=$(LD_LIBRARY_PATH="$deps/torch/torch/lib" ldd "$program")
if grep 'not found' <<<"$objects" >&2; then
  echo "collect_runtime.sh: $program misses the libraries above" >&2
  exit 1
fi
: >"$target/debian_packages.all"
while read -r path; do
  case "$path" in
    "$deps"/*) strip --strip-unneeded -o "$target/lib/$(basename "$path")" "$(readlink -f "$path")" ;;
    *) dpkg-query -S "*/$(basename "$path")" | sed -n "s#:[a-z0-9]*: .*-linux-gnu/$(basename "$path")\$##p" \
      >>"$target/debian_packages.all" ;;
  esac
done < <(awk '$2 == "=>" { print $3 }' <<<"$objects")
sort -u "$target/debian_packages.all" >"$target/debian_packages"
rm "$target/debian_packages.all"
