#!/usr/bin/env bash
# Compiles our kernels for Ampere and Hopper and reads the assembler's report: a kernel that spills registers to memory fails. So does a named
# kernel whose code accesses less than 16 bytes at once, or divides 64-bit numbers, which is a subroutine on a card. Needs nvcc alone.
# usage: spill_test.sh NVCC SOURCE_DIR
set -euo pipefail
nvcc=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
architectures=(80 90)
flags=(-std=c++20 -O3 -DNDEBUG --fmad=false -I"$source" -Xptxas -v -fatbin)
for a in "${architectures[@]}"; do flags+=(-gencode "arch=compute_$a,code=sm_$a"); done

# Reads reports; prints the kernels that spill and then how many there were. Fails where one spills or there is none.
judge() {
  awk '/Compiling entry function/ { split($0, part, "\047"); kernel = part[2] " for " part[4] }
    /bytes spill stores/ { if (kernel != "") { ++kernels; if ($0 !~ / 0 bytes spill stores, 0 bytes spill loads/) { ++spilt; print kernel ":" $0 } kernel = "" } }
    END { print kernels + 0 " kernels, " spilt + 0 " spill registers"; exit kernels == 0 || spilt > 0 }' "$@"
}

# The check can fail: 64 values that 24 registers cannot hold.
cat >"$work/spill.cu" <<'TEXT'
__global__ void crowded_kernel(const volatile float* x, volatile float* y) {
  float kept[64];
  for (int i = 0; i < 64; ++i) kept[i] = x[i];
  __syncthreads();
  for (int i = 0; i < 64; ++i) y[i] = kept[i] * kept[63 - i];
}
TEXT
"$nvcc" "${flags[@]}" -maxrregcount 24 "$work/spill.cu" -o "$work/spill.fatbin" 2>"$work/spill.report"
if judge "$work/spill.report" >"$work/judged"; then
  cat "$work/judged" "$work/spill.report"
  echo "a kernel that must spill is not seen to"
  exit 1
fi

# Two files at a time.
compile() {
  local name
  name=$(basename "$1" .cu)
  "$nvcc" "${flags[@]}" "$1" -o "$work/$name.fatbin" >"$work/$name.report" 2>&1 || { cat "$work/$name.report"; return 1; }
}
rm "$work/spill.report"
for file in "$source"/engine/cuda/*.cu; do
  while (($(jobs -pr | wc -l) >= 2)); do wait -n; done
  compile "$file" &
done
while (($(jobs -p | wc -l) > 0)); do wait -n; done
judge "$work"/*.report
for a in "${architectures[@]}"; do
  printf 'sm_%s: %s kernels\n' "$a" "$(cat "$work"/*.report | grep -c "Compiling entry function.*'sm_$a'")"
done

# The code of the kernels in file $1 whose name has $2 and $3: each reads or writes 16 bytes at once, and none divides 64-bit numbers.
quick() {
  "$nvcc" -std=c++20 -O3 -DNDEBUG --fmad=false -I"$source" -ptx -arch=compute_90 "$1" -o "$work/code.ptx" || return 2
  awk -v name="$2" -v words="$3" '
    function end() {
      if (kernel ~ name && kernel ~ words) {
        ++seen
        if (!wide) { ++bad; print kernel ": no access of 16 bytes" }
        if (divides) { ++bad; print kernel ": divides 64-bit numbers" }
      }
      kernel = ""
    }
    /\.entry / { end(); kernel = $0; sub(/.*\.entry /, "", kernel); sub(/\(.*/, "", kernel); wide = divides = 0 }
    /(ld|st)\.global[.a-z]*\.(v4\.[bfus]32|v2\.[bfus]64)/ { wide = 1 }
    /(div|rem)\.[su]64/ { divides = 1 }
    END { end(); print seen + 0 " kernels named " name ", " bad + 0 " slow"; exit seen == 0 || bad > 0 }' "$work/code.ptx"
}
# Packs of eight 16-bit or four 32-bit elements, as template arguments are spelt.
for kernel in add_kernel relu_forward_kernel relu_backward_kernel; do quick "$source/engine/cuda/elementwise.cu" "$kernel" 'Li[48]E'; done
quick "$source/engine/cuda/pool.cu" max_pool_backward_kernel 'Li[48]E'
# The check can fail.
cat >"$work/slow.cu" <<'TEXT'
__global__ void slow_kernel(const float* x, float* y, long long n) { y[threadIdx.x] = x[threadIdx.x / n]; }
TEXT
if quick "$work/slow.cu" slow_kernel '' >"$work/judged" || ! grep -q "no access of 16 bytes" "$work/judged" || ! grep -q "divides 64-bit" "$work/judged"; then
  cat "$work/judged"
  echo "a slow kernel is not seen to be"
  exit 1
fi
echo "compiled in $SECONDS s"
