#!/usr/bin/env bash
# Everything that a GPU must confirm, in one command and without a network: builds, tests, compares with the CPU and with itself, measures,
# and leaves one report. Each stage leaves its results before the next begins, so a run that is cut off has not been for nothing.
set -uo pipefail
export LC_ALL=C  # a point in every number, whatever the locale

usage() {
  cat <<'TEXT'
usage: tests/gpu/gpu_check.sh [--sim] [--out DIR] [--stages "NAME ..."] [--data DIR --weights FILE] [--manifest FILE] [--python PYTHON] [--limit SECONDS] [--pack FILE]
  --sim      the same stages on the simulated device, small: proves the script, and nothing about a GPU
  --out      folder of the results (default: docs/gpu; with --sim a folder under /tmp)
  --stages   only these: machine build tests plans sanitizer steps bench ops torch libtorch mission (default: all, in this order)
  --data, --weights   real slices and ImageNet weights, for the stage `mission` (default: those in .gpu)
  --manifest their table with a split (default: manifest.csv in --data)
  --python   a Python with torch and torchvision, for the stages `torch` and `libtorch` (default: python3)
  --limit    a stage that takes longer is ended, with what it has left (default 540)
  --pack     an archive of the results (.tar.gz), made anew after each stage
Where Debian's packages are missing, tests/gpu/gpu_carry.sh fills .gpu beforehand. Where commands may take ten minutes: "machine build tests plans",
"steps ops sanitizer", "bench", "torch libtorch" and "mission" one after the other; the report holds the stages of all calls with the same --out.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
arguments=("$@")
device=cuda preset=cuda build=$root/build-cuda out='' data='' weights='' manifest='' python=python3 limit=540 pack='' only=''
stages="machine build tests plans sanitizer steps bench ops torch libtorch mission"
while (($# > 0)); do
  case $1 in
    --sim) device=cuda-sim preset=cpu build=$root/build ;;
    --out | --stages | --data | --weights | --manifest | --python | --limit | --pack | --only)
      (($# > 1)) || { usage >&2; exit 2; }
      printf -v "${1#--}" '%s' "$2"  # --only: how this script calls itself for one stage
      shift
      ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
if [[ -z $out ]]; then
  out=$root/docs/gpu
  [[ $device == cuda ]] || out=$(mktemp -d /tmp/dura-gpu-check-XXXXXX)
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
apps=$build/apps
if [[ -z $data && -d $root/.gpu/data ]]; then
  data=$root/.gpu/data weights=$(echo "$root"/.gpu/weights.*)
fi
manifest=${manifest:-$data/manifest.csv}

# On the simulated device everything is done at a size that the CPU gets through in minutes; 34 is the shallowest depth that has layer3.3, from which on
# the half is free.
if [[ $device == cuda ]]; then
  depth=50 train_depth=50 size=224 batch=16 patients=300 batches="16 32 64 256" repetitions=20
  peer=cuda peer_options=() peer_types="f16 tf32" peer_modes="inf train half head" peer_batches="16 256"
  study=(--seeds 1 --full)
else
  depth=34 train_depth=18 size=32 batch=4 patients=24 batches="2" repetitions=1
  peer=cpu peer_options=(--compiled-batches --modes inf half --types bf16) peer_types="bf16" peer_modes="inf half" peer_batches=$batches
  study=(--seeds 1 --size 32 --phase1-epochs 1 --phase2-epochs 1)
fi

# The types that tensors are stored and computed in.
precisions="f16 bf16 tf32 f32"

skip() {
  echo "skipped: $*"
  return 77
}

# ---- stages: print to their log, return 0, 1 or 77 (skipped, with skip's words) ----

machine() {
  uname -srm
  grep -m1 'model name' /proc/cpuinfo
  nproc
  if command -v nvcc >/dev/null; then nvcc --version | tail -2; fi
  [[ $device == cuda ]] || return 0
  nvidia-smi || return 1
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit --format=csv
}

build() {
  local packages=$root/.gpu/packages options=()
  if [[ -f $packages.tar.gz && ! -d $packages ]]; then tar -C "$root/.gpu" -xzf "$packages.tar.gz" || return 1; fi
  if [[ -d $packages ]]; then options+=(-DCMAKE_PREFIX_PATH="$packages/usr"); fi
  if [[ $device == cuda ]]; then
    # A warning of a compiler that nobody has tried must not cost the day with a card.
    options+=(-DDURA_WARNINGS_AS_ERRORS=OFF)
    # The cuDNN that PyTorch runs with, where it comes as a Python package: then both sides have the same.
    local cudnn
    cudnn=$("$python" -c 'import importlib.util as u; print(list(u.find_spec("nvidia.cudnn").submodule_search_locations)[0])' 2>/dev/null) &&
      options+=(-DDURA_CUDNN_ROOT="$cudnn")
  fi
  (cd "$root" && cmake --preset "$preset" "${options[@]}" && cmake --build --preset "$preset" --parallel "$(nproc)")
}

tests() {
  if [[ $device == cuda ]]; then
    # All tests of the CUDA backend, on the card; those of the simulated device itself stay on it.
    "$build/tests/engine/cuda/card/cuda_card_check" --properties "$out/device_properties.json" &&
      DURA_TEST_DEVICE=cuda "$build/tests/dura_tests" '[cuda],[cuda-sim],[ops]'
  else
    "$build/tests/dura_tests" '[cuda]~[slow],[cuda-sim]~[slow]'
  fi
}

# With the properties that this card really has, where they are known.
plans() {
  local check=$build/tests/engine/cuda/card/cudnn_plan_check properties=$root/tests/engine/cuda/card/h100.json
  [[ -x $check ]] || skip "this build is without CUDA" || return
  if [[ -s $out/device_properties.json ]]; then properties=$out/device_properties.json; fi
  LD_LIBRARY_PATH=$build/tests/engine/cuda/card/stub:${LD_LIBRARY_PATH:-} "$check" "$properties" all 16
}

sanitizer() {
  [[ $device == cuda ]] || skip "the simulated device checks every access itself" || return
  command -v compute-sanitizer >/dev/null || skip "compute-sanitizer is not installed" || return
  compute-sanitizer --tool memcheck "$build/tests/dura_tests" '[ops]' >"$work/memcheck" 2>&1
  local status=$?
  cat "$work/memcheck"
  if grep -qiE 'not supported|permission|unable to' "$work/memcheck"; then skip "the machine refuses compute-sanitizer" || return; fi
  return "$status"
}

# A training on synthetic slices; $1: folder of the run, the rest: options.
train() {
  local run=$1
  shift
  "$apps/dura-train" --data "$work/phantoms" --depth "$train_depth" --size "$size" --batch "$batch" --augment none --class-weight Menin=4 Glioma=1 --seed 1 \
    --out "$run" "$@" >"$run.log" 2>&1 || { tail -20 "$run.log"; return 1; }
}
# Column $2 of a history, one line an epoch.
column() {
  awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; ++i) if ($i == name) at = i; next } { print $at }' "$1/history.csv"
}

# Training on the device against the CPU in f32, and against itself. All start from the same weights, made by an epoch on the CPU, and keep its statistics:
# in the first steps of an untrained network rounding alone changes the loss by a tenth.
steps() {
  "$apps/dura-phantom" --out "$work/phantoms" --patients "$patients" --slices 1 --menin-share 0.5 --size 64 >/dev/null || return 1
  train "$work/start" --device cpu --phase1-epochs 1 --phase2-epochs 0 || return 1
  local all_free=(--weights "$work/start/model.safetensors" --phase1-epochs 0 --phase2-epochs 2 --unfreeze all)
  train "$work/cpu" --device cpu "${all_free[@]}" || return 1
  local type failed=0
  for type in $precisions; do
    local options=(--device "$device" --precision "$type" "${all_free[@]}")
    train "$work/$type" "${options[@]}" && train "$work/$type-again" "${options[@]}" || return 1
    cmp "$work/$type/model.safetensors" "$work/$type-again/model.safetensors" && echo "$type: two runs are bit-identical" || failed=1
    paste <(column "$work/cpu" train_loss) <(column "$work/$type" train_loss) | awk -v type="$type" -v limit="$([[ $type == f32 ]] && echo 0.001 || echo 0.1)" '
      { d = $1 > $2 ? $1 - $2 : $2 - $1; printf "%s, epoch %d: training loss %s on the CPU in f32, %s here\n", type, NR, $1, $2; if (!(d <= limit * $1)) bad = 1 }
      END { if (NR == 0 || bad) { print type ": too far from the CPU"; exit 1 } }' || failed=1
    paste <(column "$work/$type" seconds) <(column "$work/$type" peak_memory_mib) <(column "$work/$type" skipped_steps) |
      awk -v type="$type" '{ printf "%s, epoch %d: %s s, %s MiB at most, %s steps skipped\n", type, NR, $1, $2, $3 }'
    cp "$work/$type/history.csv" "$out/steps-$type.csv"
  done
  return "$failed"
}

# One process for each type and batch: making plans takes longer than measuring.
bench() {
  : >"$out/bench.jsonl"
  local type n failed=0
  # Of f32 without TF32 nobody asks how fast it is.
  for type in ${precisions/ f32/}; do
    for n in $batches; do
      # One size too large must not hide the others.
      "$apps/dura-bench" --device "$device" --depth "$depth" --size "$size" --repetitions "$repetitions" --mode inf train half head --batch "$n" --precision "$type" \
        --compare-capture | tee -a "$out/bench.jsonl" || failed=1
    done
  done
  return "$failed"
}

# The ten slowest operations of a training step, run one by one: the shortest time of each. Normalisation, Adam and the metrics are not traced.
ops() {
  "$apps/dura-bench" --device "$device" --mode train --depth "$depth" --size "$size" --batch "$batch" --repetitions 3 --precision f16 --trace "$work/trace" || return 1
  awk '{ op = $1 " " $2 " " $3; ms = substr($6, 4) + 0; if (!(op in least) || ms < least[op]) least[op] = ms }
    END { for (op in least) { all += least[op]; printf "%.3f ms  %s\n", least[op], op } printf "%.3f ms  all traced operations together\n", all }' "$work/trace" |
    sort -rn | head -11 | tee "$out/ops.txt"
  [[ -s $out/ops.txt ]]
}

torch() {
  if [[ $peer == cuda ]]; then
    "$python" -c 'import torch, torchvision; assert torch.cuda.is_available()' 2>/dev/null || skip "$python has no torch that sees the card" || return
  else
    "$python" -c 'import torch, torchvision' 2>/dev/null || skip "$python has no torch and torchvision" || return
  fi
  # shellcheck disable=SC2086
  "$python" "$root/tests/gpu/bench_torch_gpu.py" --device "$peer" --size "$size" --repetitions "$repetitions" --batches $batches "${peer_options[@]}" | tee "$out/torch.jsonl"
}

# The same in C++, built against that Python's torch.
libtorch() {
  local torch_root type mode failed=0
  torch_root=$("$python" -c 'import torch; print(torch.__path__[0])' 2>/dev/null) || skip "$python has no torch" || return
  cmake -S "$root/tests/bench/libtorch" -B "$work/bench_libtorch" -DTORCH_ROOT="$torch_root" && cmake --build "$work/bench_libtorch" --parallel "$(nproc)" || return 1
  : >"$out/libtorch.jsonl"
  for type in $peer_types; do
    for mode in $peer_modes; do
      # shellcheck disable=SC2086
      "$work/bench_libtorch/bench_libtorch" "$mode" "$type" "$peer" "$size" "$repetitions" $peer_batches | tee -a "$out/libtorch.jsonl" || failed=1
    done
  done
  [[ -s $out/libtorch.jsonl ]] && return "$failed"
}

# The mission's own table: a baseline (f32, batch 32) against the optimised configuration (f16, batch 16).
mission() {
  [[ -n $data && -n $weights ]] || skip "no --data and --weights given" || return
  local runs=$root/runs/gpu_study
  if [[ $device != cuda ]]; then
    runs=$work/study
    # A few slices of each class and split.
    local few=$work/manifest.csv
    awk -F, 'NR == 1 { for (i = 1; i <= NF; ++i) { if ($i == "label") l = i; if ($i == "split") s = i } print; next } ++seen[$l, $s] <= ($s == "train" ? 16 : 3)' "$manifest" >"$few"
    manifest=$few
  fi
  "$apps/dura-study" --data "$data" --manifest "$manifest" --classes Menin=meningioma Glioma --weights "$weights" --device "$device" "${study[@]}" \
    --rows 0-baseline 8-sharpness --out "$runs"
  local code=$?
  # The models stay where they are, and an interrupted study goes on from there.
  cp "$runs"/study.{csv,json,html} "$out"
  return "$code"
}

# ---- running them ----

json_text() { tr -d '\r' | sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/ /g' | tr '\n' ' '; }

# report.json holds every stage that left a result in this folder, those of earlier calls too.
report() {
  local file stage status seconds detail separator='' name
  {
    printf '{"device": "%s", "commit": "%s",\n "stages": {' "$device" "$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)"
    for file in "$out"/*.status; do
      IFS=$'\t' read -r stage status seconds detail <"$file"
      printf '%s\n  "%s": {"status": "%s", "seconds": %s, "detail": "%s", "end_of_log": "%s"}' "$separator" "$stage" "$status" "$seconds" \
        "$(printf '%s' "$detail" | json_text)" "$(tail -4 "$out/$stage.log" | json_text)"
      separator=,
    done
    printf '\n },\n'
    for name in bench torch libtorch; do
      printf ' "%s": [%s],\n' "$name" "$([[ -s $out/$name.jsonl ]] && paste -sd, "$out/$name.jsonl")"
    done
    printf ' "simulated": %s}\n' "$([[ $device == cuda ]] && echo false || echo true)"
  } >"$out/report.json"
  # In two steps, so that an archive cut off in the making never stands under its name.
  if [[ -n $pack ]]; then tar -C "$out" -czf "$pack.part" . && mv "$pack.part" "$pack"; fi
}

if [[ -n $only ]]; then
  declare -F "$only" >/dev/null || { usage >&2; exit 2; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  set -o pipefail
  "$only"
  exit
fi

failures=0
for stage in $stages; do
  declare -F "$stage" >/dev/null || { usage >&2; exit 2; }
  echo "== $stage"
  begin=$SECONDS
  timeout --kill-after=10 "$limit" "$0" "${arguments[@]}" --out "$out" --only "$stage" >"$out/$stage.log" 2>&1
  code=$? detail=''
  case $code in
    0) status=passed ;;
    77) status=skipped detail=$(sed -n 's/^skipped: //p' "$out/$stage.log" | tail -1) ;;
    *)
      status=FAILED detail="exit code $code, see $stage.log"
      ((code != 124)) || detail="ended after $limit s, see $stage.log"
      failures=$((failures + 1))
      tail -5 "$out/$stage.log"
      ;;
  esac
  printf '%s\t%s\t%s\t%s\n' "$stage" "$status" "$((SECONDS - begin))" "$detail" >"$out/$stage.status"
  report
done

echo
column_format='%-10s %-8s %6s  %s\n'
# shellcheck disable=SC2059
printf "$column_format" stage result s detail
for file in "$out"/*.status; do
  IFS=$'\t' read -r stage status seconds detail <"$file"
  # shellcheck disable=SC2059
  printf "$column_format" "$stage" "$status" "$seconds" "$detail"
done
if [[ -s $out/bench.jsonl ]] && command -v "$python" >/dev/null; then "$python" "$root/tests/gpu/gpu_table.py" "$out" | tee "$out/table.md"; fi
[[ $device == cuda ]] || echo "on the simulated device: says nothing about a GPU"
echo "report: $out/report.json"
((failures == 0))
