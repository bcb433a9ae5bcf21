#!/usr/bin/env bash
# Sets up the LIBERO simulator for vlaserve-libero: Python packages without PyTorch, and LIBERO's assets.
#
#   docker/libero/install_simulator.sh [options] [VENV]
#
#   VENV               virtual environment to use or create (default: ./.libero)
#   --into-current     use the python3 on the PATH instead of a virtual environment
#   --assets PATH      LIBERO's assets; repeatable. PATH is the original asset folder (it has scenes/,
#                      textures/ and so on; it is linked, not copied), a tar archive of it or of a part,
#                      or a folder of such archives. An archive that is listed in a *.sha256 file
#                      beside it is checked. Without --assets: those that are installed stay, else
#                      hf-libero's are downloaded from Hugging Face (lerobot/libero-assets).
#   --packages-only    the simulator's packages and nothing else: no vlaserve-libero, no assets, no smoke
#                      test (for container images)
#   --fetch-assets DIR only download the assets to DIR
#   --slim             delete robosuite's files that LIBERO and Lift never open (about 500 MB)
#   --help
#
# Environment: PYTHON, the interpreter that creates VENV (default: python3.11).
# Needs Linux on x86-64 and Python 3.11. Debian packages that are missing are installed as root;
# otherwise the command to run is printed. May be run again at any time: it does what is missing, and
# always ends with a smoke test in the simulator, whose last line begins with "ok:".
# Exit codes: 0 it works, 1 it does not, 2 wrong arguments.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { echo "install_simulator.sh: $*" >&2; }
fail() { say "$*"; exit 1; }
usage_error() { say "$* (see --help)"; exit 2; }

# Everything that the simulator imports, transitively.
pins=(
  mujoco==3.2.3 numpy==1.26.4 scipy==1.17.1 numba==0.68.1 llvmlite==0.50.0 pillow==13.0.0
  opencv-python-headless==4.11.0.86 matplotlib==3.11.2 PyYAML==6.0.3 termcolor==3.3.0 easydict==1.14
  cloudpickle==3.1.2 gymnasium==1.4.0 future==1.0.0 PyOpenGL==3.1.10 glfw==2.11.0 absl-py==2.5.1
  etils==1.15.0 fsspec==2026.9.0 zipp==4.1.2 typing_extensions==4.16.0 Farama-Notifications==0.0.6
  contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 kiwisolver==1.5.1 packaging==26.3
  pyparsing==3.3.3 python-dateutil==4.0.0 tzdata==2026.6
)
# Installed without their dependencies, which are PyTorch, transformers, wandb and 140 more.
pins_alone=(hf-libero==0.1.4 robosuite==1.4.0 bddl==1.0.1)
hub_pin="huggingface_hub>=0.30,<1"
asset_parts=(scenes textures articulated_objects stable_hope_objects stable_scanned_objects
  turbosquid_objects)

venv=""
into_current=false
slim=false
packages_only=false
fetch_to=""
asset_sources=()
while [ $# -gt 0 ]; do
  case "$1" in
    --into-current) into_current=true ;;
    --assets)
      [ $# -ge 2 ] || usage_error "--assets needs a path"
      [ -e "$2" ] || fail "--assets: there is no $2"
      asset_sources+=("$(realpath "$2")")
      shift
      ;;
    --slim) slim=true ;;
    --packages-only) packages_only=true ;;
    --fetch-assets)
      [ $# -ge 2 ] || usage_error "--fetch-assets needs a folder"
      fetch_to=$2
      shift
      ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    -*) usage_error "unknown option '$1'" ;;
    *)
      [ -z "$venv" ] || usage_error "more than one virtual environment: '$venv' and '$1'"
      venv=$1
      ;;
  esac
  shift
done
if $into_current && [ -n "$venv" ]; then
  usage_error "--into-current and a virtual environment exclude each other"
fi
if $packages_only && [ ${#asset_sources[@]} -gt 0 ]; then
  usage_error "--packages-only and --assets exclude each other"
fi
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "needs Linux on x86-64"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# quietly COMMAND...: shows its output only if it fails.
quietly() {
  "$@" >"$scratch/log" 2>&1 && return
  cat "$scratch/log" >&2
  fail "failed: $*"
}

install_debian_packages() {
  local wanted=(libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri xz-utils) missing=() package
  if ! $into_current && [ -z "${PYTHON:-}" ]; then
    wanted+=(python3.11 python3.11-venv)
  fi
  if ! command -v dpkg-query >/dev/null; then
    say "no dpkg here: see to it yourself that EGL (Mesa), xz and Python 3.11 are installed"
    return
  fi
  for package in "${wanted[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local install=(apt-get install -y --no-install-recommends "${missing[@]}")
  if [ "$(id -u)" -ne 0 ]; then
    fail "these Debian packages are missing; as root run: apt-get update && ${install[*]}"
  fi
  say "${install[*]}"
  quietly apt-get update -qq
  DEBIAN_FRONTEND=noninteractive quietly "${install[@]}" -qq
}

choose_python() {
  if $into_current; then
    python=$(command -v python3) || fail "there is no python3 on the PATH"
  else
    venv=${venv:-./.libero}
    if [ ! -x "$venv/bin/python" ]; then
      local creator=${PYTHON:-python3.11}
      say "creating $venv"
      quietly "$creator" -m venv "$venv"
    fi
    python=$(cd "$venv" && pwd)/bin/python
  fi
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "$python is not Python 3.11, for which the packages are pinned"
  prefix=$("$python" -c 'import sys; print(sys.prefix)')
}

install_python_packages() {
  local stamp="$prefix/.libero_pins" pip=("$python" -m pip install -q --disable-pip-version-check)
  if [ "$(cat "$stamp" 2>/dev/null)" != "${pins_alone[*]} ${pins[*]}" ]; then
    say "installing ${pins_alone[*]} (200 MB) and what they import"
    quietly "${pip[@]}" --no-deps "${pins_alone[@]}"
    quietly "${pip[@]}" "${pins[@]}"
    echo "${pins_alone[*]} ${pins[*]}" >"$stamp"
  fi
  # An installed vlaserve-libero stays; otherwise this checkout is used in place.
  if ! $packages_only && ! (cd / && "$python" -c 'import vlaserve_libero' 2>/dev/null); then
    say "installing vlaserve-libero from $here"
    quietly "${pip[@]}" -e "${here}[video,plots]"
  fi
  packages=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  [ -d "$packages/libero/libero/bddl_files" ] || fail "hf-libero is not in $packages"
  # Without this file robosuite warns at each start and logs to a file that only one user may write.
  [ -e "$packages/robosuite/macros_private.py" ] ||
    echo 'FILE_LOGGING_LEVEL = None' >"$packages/robosuite/macros_private.py"
  if $slim; then
    local models=$packages/robosuite/models/assets
    rm -rf "$models"/{bullet_data,demonstrations,light_maps} \
      "$models"/robots/{baxter,iiwa,jaco,kinova3,sawyer,ur5e}
  fi
}

is_asset_tree() {
  local part
  for part in "${asset_parts[@]}"; do
    [ -d "$1/$part" ] || return 1
  done
}

# check_archive FILE: compares it with the first checksum for its name in a *.sha256 file beside it.
check_archive() {
  local sums line
  for sums in "$(dirname "$1")"/*.sha256; do
    [ -f "$sums" ] || continue
    line=$(awk -v name="$(basename "$1")" '$2 == name || $2 == "*" name { print; exit }' "$sums")
    [ -n "$line" ] || continue
    (cd "$(dirname "$1")" && sha256sum --check --quiet --strict <<<"$line" >/dev/null 2>&1) ||
      fail "$1 does not match its checksum in $sums (an incomplete copy?)"
    return
  done
  say "$1 is listed in no *.sha256 file beside it: not checked"
}

# Unpacks all archives into one new folder, which replaces the old one when it is complete.
unpack_archives() {
  local target=$1 archive key
  shift
  key=$(sha256sum "$@" | awk '{ print $1 }')
  [ "$(cat "$target/.archives" 2>/dev/null)" = "$key" ] && return
  for archive in "$@"; do check_archive "$archive"; done
  say "unpacking $*"
  rm -rf "$target.partial"
  mkdir -p "$target.partial"
  for archive in "$@"; do
    quietly tar -xf "$archive" -C "$target.partial" --no-same-owner
  done
  is_asset_tree "$target.partial" ||
    fail "the archives hold no complete asset tree: expected the folders ${asset_parts[*]}"
  echo "$key" >"$target.partial/.archives"
  rm -rf "$target"
  mv "$target.partial" "$target"
}

download_assets() {
  say "downloading LIBERO's assets from Hugging Face (lerobot/libero-assets)"
  quietly "$python" -m pip install -q --disable-pip-version-check --target "$scratch/hub" "$hub_pin"
  if ! PYTHONPATH="$scratch/hub" "$python" - "$1" <<'PY'
import sys

from huggingface_hub import snapshot_download

snapshot_download(repo_id="lerobot/libero-assets", repo_type="dataset", local_dir=sys.argv[1])
PY
  then
    fail "the download failed; get the assets elsewhere (the folder libero/libero/assets of the" \
      "LIBERO repository) and pass it with --assets"
  fi
  is_asset_tree "$1" || fail "the downloaded assets in $1 lack one of: ${asset_parts[*]}"
}

install_assets() {
  local link=$packages/libero/libero/assets own=$prefix/libero_assets source tree="" archives=()
  if [ -e "$link" ] && [ ! -L "$link" ]; then
    [ ${#asset_sources[@]} -eq 0 ] && return
    fail "$link exists and is no link: remove it, or leave out --assets"
  fi
  for source in ${asset_sources[@]+"${asset_sources[@]}"}; do
    if [ -f "$source" ]; then
      archives+=("$source")
    elif is_asset_tree "$source"; then
      [ -z "$tree" ] || fail "--assets names two asset folders: $tree and $source"
      tree=$source
    else
      local found
      found=$(find "$source" -maxdepth 1 -name '*.tar*' -type f | sort)
      [ -n "$found" ] || fail "--assets: $source has neither the folders ${asset_parts[*]}" \
        "nor tar archives"
      mapfile -t -O "${#archives[@]}" archives <<<"$found"
    fi
  done
  if [ -n "$tree" ] && [ ${#archives[@]} -gt 0 ]; then
    fail "--assets names both a folder ($tree) and archives (${archives[*]}): choose one"
  fi
  if [ ${#archives[@]} -gt 0 ]; then
    unpack_archives "$own" "${archives[@]}"
    tree=$own
  elif [ -z "$tree" ]; then
    is_asset_tree "$link" && return
    is_asset_tree "$own" || download_assets "$own"
    tree=$own
  fi
  ln -sfn "$tree" "$link"
}

smoke_test() {
  say "smoke test"
  (cd "$scratch" && env -u LIBERO_CONFIG_PATH "$python" -W ignore - >"$scratch/smoke" 2>"$scratch/log" <<'PY'
from vlaserve_libero.environments import registry

environment = registry.make("libero", "libero_object", 0)
step = environment.reset(0)
pictures = [step.observation[f"observation/{name}"] for name in ("image", "wrist_image")]
for picture in pictures:
    if picture.std() < 5:
        raise SystemExit("a picture is of one colour: OpenGL does not render")
print(f'ok: LIBERO runs, task "{environment.task.prompt}",',
      f"mean brightness {' and '.join(f'{p.mean():.0f}' for p in pictures)}")
environment.close()
PY
  ) || { cat "$scratch/log" >&2
    fail "the smoke test failed (where EGL does not work, try MUJOCO_GL=osmesa with Debian's libosmesa6)"; }
  cat "$scratch/smoke"
}

# A function, so that the shell has read all of this file before it starts.
main() {
  if [ -n "$fetch_to" ]; then
    choose_python
    download_assets "$fetch_to"
    return
  fi
  install_debian_packages
  choose_python
  install_python_packages
  if $packages_only; then
    say "done: packages only"
    return
  fi
  install_assets
  smoke_test
  say "done; use $python"
}

main
exit
