#!/usr/bin/env bash
# Looks through the object files of the instruction sets' folders (kernels/cpu/avx2/, …):
#  - a weak or unique symbol must belong to the set's own namespace. Any other, an inline function of
#    a shared header say, may be the copy that the linker keeps for everybody, and then runs on
#    processors without these instructions.
#  - no static initialiser: it would run on every processor.
#
#   isa_objects_test.sh NM OBJECT...    other objects than those are passed over
set -euo pipefail
nm=$1
shift

failed=false
for isa in avx2 avx512_vnni; do
  count=0
  mangled="${#isa}$isa" # as part of a C++ symbol
  for object in "$@"; do
    case "$object" in */cpu/"$isa"/*) ;; *) continue ;; esac
    count=$((count + 1))
    bad=$("$nm" "$object" | awk -v own="$mangled" '
      $2 ~ /^[WVu]$/ && index($3, own) == 0 { print "weak, not its own: " $3 }
      $3 ~ /^_GLOBAL__sub_I/ { print "static initialiser: " $3 }')
    if [ -n "$bad" ]; then
      printf '%s:\n%s\n' "$object" "$bad"
      failed=true
    fi
  done
  echo "$isa: $count object files"
  [ "$count" -gt 0 ] || failed=true
done
if $failed; then exit 1; fi
