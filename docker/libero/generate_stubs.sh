#!/usr/bin/env bash
# Generates the Python messages of the wire contract from proto/ and standard.proto.
#
#   docker/libero/generate_stubs.sh [FOLDER]
#
#   FOLDER   where they go; default: src/vlaserve_libero/_rpc, where they are committed
#
# protoc 3.21 (Debian 12) on purpose: what it writes loads with every protobuf from 3.20 on, while
# the code of a newer protoc refuses an older runtime.
set -euo pipefail

for argument in "$@"; do
  case "$argument" in
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    -*) echo "generate_stubs.sh: unknown option '$argument' (see --help)" >&2; exit 2 ;;
  esac
done

mkdir -p "${1:-.}"
target=$(cd "${1:-$(dirname "$0")/src/vlaserve_libero/_rpc}" && pwd)
cd "$(dirname "$0")"

version=$(protoc --version)
case "$version" in
  "libprotoc 3.21."* | "libprotoc 3.20."*) ;;
  *)
    echo "generate_stubs.sh: $version; needed is 3.20 or 3.21 (Debian 12's protobuf-compiler)" >&2
    exit 1
    ;;
esac

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
protoc -I ../../proto --python_out="$fresh" --pyi_out="$fresh" vlaserve/v1/policy.proto
protoc -I src --python_out="$fresh" --pyi_out="$fresh" vlaserve_libero/_rpc/standard.proto
# The modules live in the package, whatever folder their .proto file has.
sed -i "s/'vlaserve\.v1\.policy_pb2'/'vlaserve_libero._rpc.policy_pb2'/" \
  "$fresh/vlaserve/v1/policy_pb2.py"
cp "$fresh"/vlaserve/v1/policy_pb2.py* "$fresh"/vlaserve_libero/_rpc/standard_pb2.py* "$target"
