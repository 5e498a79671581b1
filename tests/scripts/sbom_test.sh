#!/usr/bin/env bash
# The list of parts names the licences of the compiler at hand: what clang compiles has clang's headers, under the licence of LLVM, and GCC's
# standard library under GCC's. Only configures, and writes the lists.
# usage: sbom_test.sh SOURCE_DIR
set -euo pipefail
source=$1
if ! command -v clang++ >/dev/null; then
  echo "skipped: clang++ is not installed"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake -S "$source" -B "$work" -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DDURA_TESTS=OFF -DDURA_CUDA=OFF >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work" --target sbom >"$work/log" || { cat "$work/log"; exit 1; }
# NAME LICENCE: a part of the library, as the list has it.
has() {
  grep -A 3 "\"name\": \"$1\"" "$work/papers/library/dura-sbom.json" | grep -F "\"licenses\": [{\"expression\": \"$2\"}]" >/dev/null ||
    { echo "$1 is not listed with the licence '$2':"; cat "$work/papers/library/dura-sbom.json"; exit 1; }
}
llvm="Apache-2.0 WITH LLVM-exception" gcc="GPL-3.0-or-later WITH GCC-exception-3.1"
has "Clang C++ compiler" "$llvm"
has "headers of Clang" "$llvm"
has "headers of libstdc++" "$gcc"
has libstdc++ "$gcc"
has "headers and archive of libgcc" "$gcc"
