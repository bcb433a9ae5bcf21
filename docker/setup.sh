#!/usr/bin/env bash
# Installs what building, testing and running vlaserve needs. The one list: Dockerfiles, server/demo.sh
# and tests/run.sh call this script. Does nothing where everything is there.
#
#   docker/setup.sh [--cuda]
#
#   --cuda   also what a CUDA build needs (nvcc, unless one is on the PATH)
#
# Debian packages need root; without it the script prints the command to run and stops.
# LibTorch goes to .deps/torch, unless VLASERVE_LIBTORCH names a folder with include/ and lib/ (the
# official zip, or the torch/ folder of a wheel), which is then used as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

debian_packages=(
  g++ cmake ninja-build ccache git ca-certificates
  libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler
  libspdlog-dev nlohmann-json3-dev libcli11-dev libssl-dev libpng-dev libjpeg-dev
  catch2 libpcre2-dev libsimde-dev clang-format clang-tidy python3 python3-pip python3-venv python3-yaml
)
libtorch_wheels=(torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
nvcc_wheels=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88
  nvidia-cuda-cccl==13.0.85 nvidia-cuda-runtime==13.0.96)

with_cuda=false
for argument in "$@"; do
  case "$argument" in
    --cuda) with_cuda=true ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) echo "setup.sh: unknown argument '$argument' (see --help)" >&2; exit 2 ;;
  esac
done

install_debian_packages() {
  local missing=() package
  for package in "${debian_packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local line="apt-get install -y --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    echo "setup.sh: these Debian packages are missing; as root run:" >&2
    echo "  apt-get update && $line" >&2
    exit 1
  fi
  echo "setup.sh: $line"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $line -qq >/dev/null
}

# install_wheels FOLDER WHEELS...: puts wheels into .deps/FOLDER; the folder appears only when
# complete, with the list of wheels in it.
install_wheels() {
  local target=".deps/$1" stamp
  shift
  stamp="$*"
  [ "$(cat "$target/.wheels" 2>/dev/null)" = "$stamp" ] && return
  echo "setup.sh: installing $stamp into $target"
  mkdir -p .deps
  local fresh
  fresh=$(mktemp -d .deps/.incoming.XXXXXX)
  trap 'rm -rf "$fresh"' EXIT
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --no-deps --target "$fresh" "$@"
  if [ -d "$fresh/torch" ]; then keep_libraries_and_headers "$fresh"; fi
  echo "$stamp" >"$fresh/.wheels"
  chmod 755 "$fresh"
  rm -rf "$target"
  mv "$fresh" "$target"
  trap - EXIT
}

# Of the torch wheel only the CPU libraries and the headers are used: a third of its size.
keep_libraries_and_headers() {
  find "$1" -mindepth 1 -maxdepth 1 ! -name torch ! -name nvidia -exec rm -rf {} +
  find "$1/torch" -mindepth 1 -maxdepth 1 ! -name lib ! -name include -exec rm -rf {} +
  find "$1/torch/lib" -mindepth 1 -maxdepth 1 \
    ! -name 'libtorch_cpu.so' ! -name 'libc10.so' ! -name 'libgomp*' -exec rm -rf {} +
}

install_libtorch() {
  if [ -n "${VLASERVE_LIBTORCH:-}" ]; then
    local root="$VLASERVE_LIBTORCH"
    [ -d "$root/torch/lib" ] && root="$root/torch"
    if [ ! -e "$root/lib/libtorch_cpu.so" ] || [ ! -e "$root/include/torch/script.h" ]; then
      echo "setup.sh: VLASERVE_LIBTORCH=$VLASERVE_LIBTORCH has no lib/libtorch_cpu.so and" \
        "include/torch/script.h" >&2
      exit 1
    fi
    return
  fi
  install_wheels torch "${libtorch_wheels[@]}"
}

install_debian_packages
install_libtorch
if $with_cuda && ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
  install_wheels cuda "${nvcc_wheels[@]}"
fi
