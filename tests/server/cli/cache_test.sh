#!/usr/bin/env bash
# `vlaserve cache`, on a folder with a sound pack, a damaged one and what a dead writer left.
#
#   cache_test.sh PROGRAM SOURCE_DIR commands
source "$(dirname "$0")/program.sh"
pack=$source_dir/tests/quant/pack/format_2.safetensors

# place_pack: the pack of PACK_FORMAT.md under its key in $work/packs; sets $key and $entry.
place_pack() {
  local manifest
  manifest=$(grep -ao '"manifest":"[^"]*"' "$pack")
  manifest=${manifest#'"manifest":"'}
  key=$(printf %b "${manifest%'"'}" | sha256sum | cut -c 1-64)
  entry=$work/packs/v2/${key:0:2}/$key.safetensors
  mkdir -p "$(dirname "$entry")"
  cp "$pack" "$entry"
  chmod -R go-w "$work/packs"
}

# exists FILE / missing FILE
exists() {
  checks=$((checks + 1))
  [[ -e $1 ]] || { failures=$((failures + 1)) && echo "FAILED: $1 is gone" >&2; }
}
missing() {
  checks=$((checks + 1))
  [[ ! -e $1 ]] || { failures=$((failures + 1)) && echo "FAILED: $1 is still there" >&2; }
}

commands_part() {
  local key entry damaged command
  place_pack
  damaged=$work/packs/v2/aa/$(printf 'a%.0s' {1..64}).safetensors
  mkdir -p "$(dirname "$damaged")"
  chmod go-w "$(dirname "$damaged")"

  # A folder by argument, by --set, by environment, by config file.
  expect 0 cache ls --dir "$work/packs"
  says out "${key:0:12}  " "  1504  demo" "$work/packs: 1 packs, 1504 bytes, 0 unsound"
  silent err
  expect 0 cache ls --set pack_cache.dir="$work/packs"
  says out "1 packs"
  VLASERVE_PACK_CACHE_DIR=$work/packs expect 0 cache ls
  says out "1 packs"
  echo '{"pack_cache": {"dir": "packs"}}' >"$work/config.json"
  expect 0 cache ls --config "$work/config.json"
  says out "1 packs"
  expect 0 cache ls --dir "$work/packs" --json
  says out "\"key\": \"$key\"" '"layer": "demo"' '"bytes": 1504' '"unsound": 0' 'weight.bits 4\n'
  expect 0 cache verify --dir "$work/packs"
  expect 0 cache gc --dir "$work/packs"
  says out "0 bytes freed"
  exists "$entry"

  head -c 500 "$pack" >"$damaged"
  echo half >"$work/packs/v2/aa/.tmp.1.0123456789abcdef"
  expect 0 cache ls --dir "$work/packs"
  says out "unsound: $damaged: truncated" "2 packs, 2004 bytes, 1 unsound"
  expect 1 cache verify --dir "$work/packs"
  says out "unsound: $damaged: truncated"
  expect 1 cache verify --dir "$work/packs" --json
  says out '"unsound": 1' "\"problem\": \"$damaged: truncated"
  expect 2 cache gc --dir "$work/packs" --set pack_cache.mode=ro
  exists "$damaged"
  expect 0 cache gc --dir "$work/packs"
  says out "505 bytes freed"
  missing "$damaged"
  missing "$work/packs/v2/aa/.tmp.1.0123456789abcdef"
  exists "$entry"

  expect 0 cache gc --dir "$work/packs" --set pack_cache.max_bytes=1504
  exists "$entry"
  expect 0 cache clear --dir "$work/packs" --json
  says out '"freed_bytes": 1504'
  missing "$entry"

  # Nothing there is no error and makes no folder; a folder that was named must exist.
  for command in ls verify gc clear; do
    XDG_CACHE_HOME=$work/cache expect 0 cache "$command"
    says out "$work/cache/vlaserve/packs: 0 "
    missing "$work/cache"
    expect 3 cache "$command" --dir "$work/none"
    says err "$work/none: no such folder"
  done
  chmod go+w "$work/packs"
  for command in ls verify gc clear; do
    expect 2 cache "$command" --dir "$work/packs"
    says err "$work/packs may be written by others" "chmod go-w"
  done
  expect 2 cache
  expect 2 cache nothing
  XDG_CACHE_HOME= HOME= expect 2 cache ls
  says err pack_cache.dir
}

"${part}_part"
finish
