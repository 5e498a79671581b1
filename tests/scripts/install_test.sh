#!/usr/bin/env bash
# Installs dura into a folder of its own, then builds and runs the examples of the documentation against it, as a project outside would.
# What needs a tool that is not there is left out, and the test then ends as skipped (77), with the tool's name.
# usage: install_test.sh BUILD_DIR SOURCE_DIR CXX_COMPILER
set -euo pipefail
build=$1 source=$2 compiler=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
missing=()
has() { command -v "$1" >/dev/null || { missing+=("$1"); return 1; }; }

cmake --install "$build" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
# Installed headers include installed headers alone.
find "$work/prefix/include" -name '*.h' -printf '#include <%P>\n' | sort >"$work/headers.cpp"
(($(wc -l <"$work/headers.cpp") > 50)) || { echo "few headers were installed:"; cat "$work/headers.cpp"; exit 1; }
if grep -rnE '#[ ]*include "' "$work/prefix/include" | grep -v '"dura/'; then echo "these includes do not begin with dura/"; exit 1; fi
"$compiler" -std=c++20 -fsyntax-only -Werror -Wall -I"$work/prefix/include" "$work/headers.cpp"

# Copied, so that a header found by accident in the source tree cannot help.
cp -r "$source/docs/examples" "$work/project"
cmake -S "$work/project" -B "$work/build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" ||
  { cat "$work/log"; exit 1; }
cmake --build "$work/build"
cd "$work"
build/train objects | tee printed
# Half of 240 is what guessing gets.
right=$(sed -n 's/^epoch 16: \([0-9]*\) of 240 unseen pictures right$/\1/p' printed)
((right > 150)) || { echo "the example learnt nothing: ${right:-none} of 240"; exit 1; }

prefix/bin/dura-train --data objects --depth 18 --size 32 --phase1-epochs 1 --phase2-epochs 0 --out run >log || { cat log; exit 1; }
picture=objects/images/0.png
build/predict run/model.safetensors "$picture" | tee printed
grep -qE "^$picture (one|two)_[a-z_]+ [01]\.[0-9]{2}$" printed
[[ -s map1.png ]]
if build/predict objects/manifest.csv 2>printed; then echo "a table passed for a model"; exit 1; fi
grep -q manifest.csv printed

# The C interface says the same: from CMake, from a static library, by pkg-config, and from Python.
build/predict run/model.safetensors "$picture" >expected
lib=$(dirname "$(find "$work/prefix" -name libdura.so)")
# The line for libdura.a as the documentation has it, with what it says of a build with CUDA.
line=$(sed -n 's/.*`\(cc program.c .*libdura\.a [^`]*\)`.*/\1/p' "$source/docs/c_interface.md")
line=${line//DIR\/lib/$lib}
line=${line//DIR/$work/prefix}
if grep -q cudart_static "$lib/pkgconfig/dura.pc"; then
  line+=" $(sed -n 's/^Libs.private:.*\(-L[^ ]*\) .*/\1/p' "$lib/pkgconfig/dura.pc") -lcudart_static -ldl -lrt"
fi
read -ra words <<<"${line//program.c/project/predict.c}"
"${words[@]}" -o predict_a
programs=(build/predict_c build/predict_c_static ./predict_a)
if has pkg-config; then
  flags() { PKG_CONFIG_PATH="$lib/pkgconfig" pkg-config "$@" dura; }
  read -ra words <<<"$(flags --cflags --libs)"
  cc -std=c99 -Wall -Wextra -Werror project/predict.c -o predict_pc "${words[@]}"
  read -ra words <<<"$(flags --static --cflags --libs)"
  cc -static project/predict.c -o predict_static "${words[@]}"
  programs+=(./predict_pc ./predict_static)
fi
for program in "${programs[@]}"; do
  LD_LIBRARY_PATH="$lib" $program run/model.safetensors "$picture" | diff expected -
  [[ $(head -c 2 map1.pam) == P7 ]]
  rm map1.pam
  if LD_LIBRARY_PATH="$lib" $program objects/manifest.csv "$picture" 2>printed; then echo "a table passed for a model"; exit 1; fi
  grep -q manifest.csv printed
done
for program in build/predict_c_static ./predict_a; do
  if ldd $program | grep libdura; then echo "$program needs libdura.so"; exit 1; fi
done
if has python3; then
  rm map1.png
  python3 project/predict.py "$lib/libdura.so.1" run/model.safetensors "$picture" | diff expected -
  [[ -s map1.png ]]
  if python3 project/predict.py "$lib/libdura.so.1" objects/manifest.csv "$picture" 2>printed; then echo "a table passed for a model"; exit 1; fi
  grep -q manifest.csv printed
fi

for program in "$work"/prefix/bin/dura-*; do
  grep -q 'Apache-2.0' <<<"$("$program" --version)"
  "$program" --help >/dev/null
done

if ((${#missing[@]} > 0)); then
  echo "skipped: the examples that need ${missing[*]}, not installed here; all others passed"
  exit 77
fi
