#!/usr/bin/env bash
# Compiles our kernels for Ampere and Hopper and reads the assembler's report: a kernel that spills registers to memory fails. So does a named
# kernel whose machine code accesses less than 16 bytes at once, or divides 64-bit numbers in a loop or more often than is said here. Needs nvcc
# alone; where nvdisasm is missing, too, PTX is read, which is what machine code is made of.
# usage: spill_test.sh NVCC SOURCE_DIR [NVDISASM]
set -euo pipefail
nvcc=$1 source=$2 nvdisasm=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
architectures=(80 90)
flags=(-std=c++20 -O3 -DNDEBUG --fmad=false -I"$source")

# compile FILE: for both cards; NAME.80.cubin and the like, and what the assembler said.
compile() {
  local name a
  name=$(basename "$1" .cu)
  for a in "${architectures[@]}"; do
    "$nvcc" "${flags[@]}" -Xptxas -v "${@:2}" -cubin -arch="sm_$a" "$1" -o "$work/$name.$a.cubin" >"$work/$name.$a.report" 2>&1 ||
      { cat "$work/$name.$a.report"; return 1; }
  done
}

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
compile "$work/spill.cu" -maxrregcount 24
if judge "$work"/spill.*.report >"$work/judged"; then
  cat "$work/judged" "$work"/spill.*.report
  echo "a kernel that must spill is not seen to"
  exit 1
fi

# Two files at a time.
rm "$work"/spill.*.report
for file in "$source"/engine/cuda/*.cu; do
  while (($(jobs -pr | wc -l) >= 2)); do wait -n; done
  compile "$file" &
done
while (($(jobs -p | wc -l) > 0)); do wait -n; done
judge "$work"/*.report
for a in "${architectures[@]}"; do
  printf 'sm_%s: %s kernels\n' "$a" "$(cat "$work"/*.report | grep -c "Compiling entry function.*'sm_$a'")"
done

# What file $1 becomes for card $2.
code_of() {
  local name
  name=$(basename "$1" .cu)
  if [[ -n $nvdisasm ]]; then
    "$nvdisasm" -c "$work/$name.$2.cubin"
  else
    [[ -e $work/$name.$2.ptx ]] || "$nvcc" "${flags[@]}" -ptx -arch="compute_$2" "$1" -o "$work/$name.$2.ptx"
    cat "$work/$name.$2.ptx"
  fi
}
# quick FILE KERNEL WORDS DIVISIONS: of the kernels whose name has KERNEL and WORDS. With words, which say that it takes packs, each must read or
# write 16 bytes at once. None may divide 64-bit numbers in a loop, or more than DIVISIONS times in all. One such division is a branch to a
# subroutine that numbers of 32 bits do not take, and the division of those: five instructions more than that alone.
quick() {
  local a
  for a in "${architectures[@]}"; do
    code_of "$1" "$a" >"$work/code" || return 2
    awk -v name="$2" -v words="$3" -v most="$4" -v card="sm_$a" '
      function end(   i, j, looped) {
        if (kernel ~ name && kernel ~ words) {
          ++seen
          for (i = 1; i <= divisions; ++i)
            for (j = 1; j <= loops; ++j)
              if (at[i] > from[j] && at[i] < to[j]) { looped = 1; break }
          if (words != "" && !wide) { ++bad; print kernel ": no access of 16 bytes" }
          if (looped) { ++bad; print kernel ": divides 64-bit numbers in a loop" }
          if (divisions > most) { ++bad; print kernel ": divides 64-bit numbers " divisions " times" }
        }
        kernel = ""; divisions = loops = wide = 0; split("", place)
      }
      # Machine code: a section for each kernel. PTX: an entry.
      /^\.text\./ { end(); kernel = $1 }
      /\.entry / { end(); kernel = $0; sub(/.*\.entry /, "", kernel); sub(/\(.*/, "", kernel) }
      /^(\.L_x_|\$L__)[A-Za-z0-9_]*:/ { label = $1; sub(/:.*/, "", label); place[label] = NR }
      /(BRA|bra)[ .]/ && match($0, /(\.L_x_|\$L__)[A-Za-z0-9_]*/) {
        label = substr($0, RSTART, RLENGTH)
        if (label in place) { from[++loops] = place[label]; to[loops] = NR }
      }
      /(LDG|STG)\.E[.A-Z0-9_]*\.128|(ld|st)\.global[.a-z]*\.(v4\.[bfus]32|v2\.[bfus]64)/ { wide = 1 }
      /CALL.*__cuda_sm20_(div|rem)_[su]64|(div|rem)\.[su]64/ { at[++divisions] = NR }
      END { end(); print card ": " seen + 0 " kernels named " name ", " bad + 0 " slow"; exit seen == 0 || bad > 0 }' "$work/code" || return 1
  done
}
# Packs of eight 16-bit or four 32-bit elements, as template arguments are spelt.
packs='Li[48]E'
echo "reading ${nvdisasm:-PTX: no nvdisasm was found}"
for kernel in add_kernel relu_forward_kernel relu_backward_kernel; do quick "$source/engine/cuda/elementwise.cu" "$kernel" "$packs" 0; done
quick "$source/engine/cuda/optimizer.cu" adam_kernel Li4E 0
quick "$source/engine/cuda/batch_norm.cu" scale_shift_act_kernel "$packs" 1
quick "$source/engine/cuda/pool.cu" max_pool_backward_kernel "$packs" 0
quick "$source/engine/cuda/pool.cu" max_pool_forward_kernel "$packs" 3
# Three channels of a picture, or one more: no packs.
quick "$source/engine/cuda/convolution.cu" '[0-9]pad_kernel' '' 2
quick "$source/engine/cuda/image_kernels.cu" warp_kernel '' 2
quick "$source/engine/cuda/image_kernels.cu" enhance_kernel '' 3

# The check can fail.
cat >"$work/slow.cu" <<'TEXT'
__global__ void slow_kernel(const float* x, float* y, long long n, long long m) {
  y[threadIdx.x] = x[threadIdx.x / n];
  for (long long i = threadIdx.x; i < m; i += n) y[i] += x[i * i / m];
}
TEXT
compile "$work/slow.cu"
if quick "$work/slow.cu" slow_kernel _ 1 >"$work/judged"; then failed=0; else failed=1; fi
for words in "no access of 16 bytes" "64-bit numbers in a loop" "64-bit numbers [2-9] times"; do
  if ((failed == 0)) || ! grep -q "$words" "$work/judged"; then
    cat "$work/judged"
    echo "a slow kernel is not seen to be: '$words' was expected"
    exit 1
  fi
done
echo "compiled in $SECONDS s"
