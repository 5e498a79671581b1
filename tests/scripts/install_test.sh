#!/usr/bin/env bash
# Installs dura into a folder of its own, then builds and runs a small outside project against it.
# usage: install_test.sh BUILD_DIR SOURCE_DIR CXX_COMPILER
set -euo pipefail
build=$1 source=$2 compiler=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
# Copied, so that a header found by accident in the source tree cannot help.
cp -r "$source/tests/scripts/install" "$work/project"
cmake -S "$work/project" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/build"
"$work/build/outside" | tee "$work/printed"
# ResNet-18 without its classifier has 11,176,512 parameters; a dense layer to two classes adds 1,026.
grep -qx '11177538 parameters, 2 rows' "$work/printed"
for program in "$work"/prefix/bin/dura-*; do
  [[ -e $program ]] || continue  # the pattern itself, where no program is installed
  "$program" --version
  "$program" --help >/dev/null
done
