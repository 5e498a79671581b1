#!/usr/bin/env bash
# dura-predict needs nothing beside it: no library but the C and C++ runtime, no environment, no folder of ours; and it is small.
# usage: alone_test.sh PATH_OF_DURA_PREDICT PATH_OF_DURA_TESTS MOST_BYTES
set -euo pipefail
program=$1 tests=$2 most_bytes=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

allowed='^(linux-vdso|libc|libm|libstdc\+\+|libgcc_s|libgomp|ld-linux[-a-z0-9_]*)\.so'
ldd "$program" | sed 's/^[[:space:]]*//; s/ .*//; s|.*/||' >"$work/libraries"
if grep -vE "$allowed" "$work/libraries"; then
  echo "dura-predict needs the libraries above"
  exit 1
fi

mkdir "$work/a copied folder"
cp "$program" "$work/a copied folder/dura-predict"
strip "$work/a copied folder/dura-predict"
size=$(stat -c %s "$work/a copied folder/dura-predict")
echo "stripped: $size bytes"
((size <= most_bytes))

# The test program writes a small model and a picture for it, and what it answers itself.
env -i DURA_ALONE_FOLDER="$work/a copied folder" "$tests" "[alone]"

cd "$work/a copied folder"
env -i ./dura-predict --version
env -i ./dura-predict --help >/dev/null
env -i ./dura-predict --device cpu --model model.safetensors slice.png | tee answer.csv
diff answer.csv expected.csv
