#!/usr/bin/env bash
# The same sources give the same libdura.so, byte for byte, wherever and under whatever circumstances they are built: in the package's build
# folder, and from a copy in another folder, at another depth, with another umask, language and time zone, and no compiler cache.
# usage: reproducible_test.sh SOURCE_DIR CXX_COMPILER
set -euo pipefail
source=$1 compiler=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() { "$@" >"$work/log" 2>&1 || { tail -50 "$work/log"; echo "failed: $*"; exit 1; }; }

quietly cmake -S "$source" --preset package -DCMAKE_CXX_COMPILER="$compiler"
quietly cmake --build "$source/build-package" --target dura_shared
here=$source/build-package/models/c/libdura.so

copy="$work/a copy/of the sources/elsewhere"
mkdir -p "$copy"
tar -C "$source" --exclude='./build*' --exclude=./.git --exclude=./runs -cf - . | tar -C "$copy" -xf -
umask 077
export LC_ALL=C TZ=Pacific/Auckland CCACHE_DISABLE=1
quietly cmake -S "$copy" --preset package -DCMAKE_CXX_COMPILER="$compiler"
quietly cmake --build "$copy/build-package" --target dura_shared
there=$copy/build-package/models/c/libdura.so

sha256sum "$here" "$there"
if ! cmp "$here" "$there"; then
  readelf --string-dump=.rodata "$there" | grep -F "$work" | head || true
  exit 1
fi
# No place where it was built is in it, so that nothing of the kind can come back unseen.
if grep -aF -e "$work" -e "$source/" "$here"; then echo "a path of the machine that built it"; exit 1; fi
