#!/usr/bin/env bash
# libdura.so is what its users rely on: its exported symbols and the layout of its structs are those of a golden file, it is small and without
# the simulated device, it needs the C and C++ runtime alone, and dura.h is C99. A change of the golden file is a new version of the interface
# (models/c/dura.map).
# usage: c_interface_test.sh LIBDURA.SO LIBDURA.A SOURCE_DIR MOST_BYTES
set -euo pipefail
library=$1 archive=$2 source=$3 most_bytes=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Offsets of all members, in the header's order, by a C program made from the header itself.
awk '
  BEGIN { print "#include <dura.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {" }
  /^typedef struct dura_[a-z_]+ \{/ { name = $3; printf "  printf(\"%s %%zu\\n\", sizeof(%s));\n", name, name; next }
  /^\} dura_/ { name = "" }
  name && match($0, /^  [a-z][^;\/]*;/) {
    line = substr($0, RSTART, RLENGTH); sub(/;.*/, "", line); count = split(line, parts, ",")
    for (i = 1; i <= count; ++i) {
      sub(/.*[ *]/, "", parts[i])
      printf "  printf(\"%s.%s %%zu\\n\", offsetof(%s, %s));\n", name, parts[i], name, parts[i]
    }
  }
  /^  DURA_[A-Z_]+ = / { sub(/,.*/, "", $3); printf "  printf(\"%s %%d\\n\", (int)%s);\n", $1, $1 }
  END { print "  return 0;\n}" }' "$source/models/c/dura.h" >"$work/layout.c"
cc -std=c99 -pedantic -Wall -Wextra -Werror -I"$source/models/c" "$work/layout.c" -o "$work/layout"
{
  readelf -d "$library" | sed -n 's/.*SONAME.*\[\(.*\)\]/soname \1/p'
  nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | LC_ALL=C sort
  "$work/layout"
} >"$work/found"
diff "$source/tests/golden/c_interface.txt" "$work/found" || {
  echo "libdura.so (>) is not what the golden file says (<)"
  exit 1
}

# Every function of the header is there, and no other.
grep -oE '\bdura_[a-z_]+\(' "$source/models/c/dura.h" | tr -d '(' | LC_ALL=C sort -u >"$work/declared"
nm -D --defined-only "$library" | sed -n 's/.* T \(dura_[a-z_]*\)@@DURA_.*/\1/p' | LC_ALL=C sort >"$work/exported"
diff "$work/declared" "$work/exported"

c++ -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only -I"$source/models/c" -x c++ "$source/models/c/dura.h"

allowed='^(linux-vdso|libc|libm|libdl|libpthread|libstdc\+\+|libgcc_s|ld-linux[-a-z0-9_]*)\.so'
ldd "$library" | sed 's/^[[:space:]]*//; s/ .*//; s|.*/||' >"$work/libraries"
if grep -vE "$allowed" "$work/libraries"; then
  echo "libdura.so needs the libraries above"
  exit 1
fi
# The names of what is not exported are there until it is stripped: those of the CPU's backend show that this looks at the right place.
for file in "$library" "$archive"; do
  nm -C "$file" >"$work/names" 2>"$work/log" || { cat "$work/log"; exit 1; }
  grep -q 'dura::CpuBackend::' "$work/names" || { echo "$file has no names to look at"; exit 1; }
  if grep -m 10 -E 'dura::cuda::(sim|simulated)::' "$work/names"; then
    echo "$file has code of the simulated device: the names above"
    exit 1
  fi
done
strip -o "$work/stripped" "$library"
size=$(stat -c %s "$work/stripped")
echo "stripped: $size bytes"
((size <= most_bytes))
