# Sourced by run.sh and test.sh: what they need from the system, and how dura is built. Works from any directory.
# shellcheck shell=bash

debian_packages=(cmake g++ ninja-build libeigen3-dev libstb-dev catch2 libtomlplusplus-dev nlohmann-json3-dev libhdf5-dev pkgconf
                 libopenmpi-dev openmpi-bin)
# What the slow tests need as well: packages are built, and installed in a Debian of their own; two machines are made of one; Python uses
# the C interface.
slow_debian_packages=(debootstrap dpkg-dev file gzip help2man iproute2 python3 wget)

say() { printf '%s\n' "== $*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The Debian packages that are not installed, one a line.
missing_packages() {
  local package
  for package in "${debian_packages[@]}"; do
    [[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)" == installed ]] || echo "$package"
  done
}

# Installs what is missing; asks for root only then.
ensure_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "not a Debian system; these packages' counterparts must be there: ${debian_packages[*]}"
    return
  fi
  local missing
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]} > 0)) || return 0
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "these Debian packages are missing and need root to install: ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing Debian packages: ${missing[*]}"
  if ! "${as_root[@]}" apt-get update -q || ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
    --no-install-recommends "${missing[@]}"; then
    die "these Debian packages could not be installed; install them and run this again: ${missing[*]}"
  fi
}

# configure_dura SOURCE PRESET CUDA: CUDA is OFF or AUTO. ccache is used where there is one.
configure_dura() {
  local source=$1 preset=$2 cuda=$3
  if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER:-ccache}; fi
  say "configuring (preset $preset)"
  (cd "$source" && cmake --preset "$preset" -DDURA_CUDA="$cuda" --log-level=NOTICE)
}

# build_dura SOURCE PRESET CUDA TARGET...: configures and builds.
build_dura() {
  local source=$1 preset=$2 cuda=$3
  shift 3
  configure_dura "$source" "$preset" "$cuda"
  say "building"
  (cd "$source" && cmake --build --preset "$preset" --target "$@")
}
