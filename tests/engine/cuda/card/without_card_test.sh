#!/usr/bin/env bash
# The programs of a build with CUDA where there is no card, no driver or only the toolkit's stub of one, and no libraries of CUDA: they start, say
# in one line why they compute on the CPU, and refuse --device cuda.
# usage: without_card_test.sh FOLDER_OF_PROGRAMS FOLDER_OF_THE_STUB
set -euo pipefail
bin=$1 stub=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Whatever this machine has.
export CUDA_VISIBLE_DEVICES=''

"$bin/dura-phantom" --out "$work/data" --patients 8 --slices 1 --menin-share 0.5 --size 64 >/dev/null
train() {
  "$bin/dura-train" --data "$work/data" --out "$work/run$((++runs))" --depth 18 --size 32 --batch 4 --phase1-epochs 1 --phase2-epochs 0 "$@" >"$work/log" 2>&1
}
runs=0
# check REASON: of the program as it is now, by its exit codes and words.
check() {
  train || { cat "$work/log"; echo "must compute on the CPU"; exit 1; }
  if [[ $(grep -cE "^computing on the CPU: .*$1" "$work/log") != 1 ]]; then cat "$work/log"; echo "must say once: $1"; exit 1; fi
  local code=0
  train --device cuda || code=$?
  if [[ $code != 2 || $(wc -l <"$work/log") != 1 ]] || ! grep -qE "error: --device cuda: .*$1.*Use --device cpu\." "$work/log"; then
    cat "$work/log"
    echo "--device cuda: exit code $code; it must be 2, with one line that names: $1"
    exit 1
  fi
  echo "ok: $1"
}
check "no CUDA card"
DURA_CUDA_LIBRARIES=/nonexistent check "no CUDA card"
if [[ -e $stub/libcuda.so.1 ]]; then LD_LIBRARY_PATH=$stub check "libcuda.so.1 is the toolkit's stub"; fi
