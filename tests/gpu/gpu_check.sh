#!/usr/bin/env bash
# Everything that a GPU must confirm, in one command and without a network: builds, tests, compares with the CPU and with itself, measures,
# and leaves one report. Each stage leaves its results before the next begins, so a run that is cut off has not been for nothing.
set -uo pipefail
export LC_ALL=C  # a point in every number, whatever the locale

usage() {
  cat <<'TEXT'
usage: tests/gpu/gpu_check.sh [--sim] [--out DIR] [--part N | --stages "NAME ..."] [--data DIR --weights FILE] [--manifest FILE] [--python PYTHON]
                              [--limit SECONDS] [--budget SECONDS] [--pack FILE] [--built DIR]
       tests/gpu/gpu_check.sh --clock      the stages with their estimated times; an error where they do not fit
  --sim      the same stages on the simulated device, small: proves the script, and nothing about a GPU
  --out      folder of the results (default: docs/gpu; with --sim a folder under /tmp)
  --part     the stages of one command of ten minutes at most; 1 to 4 one after the other are everything
               1 machine build smoke    2 steps bench    3 tests torch    4 libtorch types compiled mission sanitizer plans ops tuned cards, as far as time goes
  --stages   only these (default: all, in this order)
  --data, --weights   real slices and ImageNet weights, for the stage `mission` (default: those in .gpu)
  --manifest their table with a split (default: manifest.csv in --data)
  --python   a Python with torch and torchvision, for the stages `torch` and `libtorch` (default: python3)
  --limit    seconds that this command has; a stage that takes longer is ended, with what it has left (default 580)
  --budget   seconds that all commands with the same --out have together (default 1500); a stage that is estimated to need more than is left is skipped
  --pack     an archive of the results (.tar.gz), made anew after each stage
  --built    a folder in which dura is built already; the stage `build` only looks whether it is
Where Debian's packages are missing, tests/gpu/gpu_carry.sh fills .gpu beforehand. The report holds the stages of all calls with the same --out.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
arguments=("$@")
device=cuda preset=cuda build=$root/build-cuda out='' data='' weights='' manifest='' python=python3 limit=580 budget=1500 pack='' only='' part='' clock='' built='' test_limit=120
parts=([1]="machine build smoke" [2]="steps bench" [3]="tests torch" [4]="libtorch types compiled mission sanitizer plans ops tuned cards")
stages="${parts[*]}"
# Seconds that a stage is estimated to take on a machine with a card and 16 cores; never measured.
declare -A estimate=([machine]=5 [build]=300 [smoke]=120 [steps]=180 [bench]=120 [tests]=240 [torch]=60
  [plans]=60 [ops]=20 [tuned]=150 [types]=120 [libtorch]=120 [compiled]=120 [mission]=300 [sanitizer]=180 [cards]=120)
while (($# > 0)); do
  case $1 in
    --sim) device=cuda-sim preset=cpu build=$root/build ;;
    --clock) clock=yes ;;
    --out | --part | --stages | --data | --weights | --manifest | --python | --limit | --budget | --pack | --built | --only)
      (($# > 1)) || { usage >&2; exit 2; }
      printf -v "${1#--}" '%s' "$2"  # --only: how this script calls itself for one stage
      shift
      ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
if [[ -n $part ]]; then
  [[ $part =~ ^[1-4]$ ]] || { usage >&2; exit 2; }
  stages=${parts[part]}
fi

# The stages on the clock, as they come. Fails where a part takes longer than a command may, or parts 1 to 3 more than there is.
if [[ -n $clock ]]; then
  now=0 bad=0
  for part in 1 2 3 4; do
    of_part=0
    for stage in ${parts[part]}; do
      of_part=$((of_part + estimate[$stage]))
      if ((now + of_part > budget)); then note='  only where others were faster'; else note=''; fi
      printf 'part %d  %-10s %4d s  done after %4d s%s\n' "$part" "$stage" "${estimate[$stage]}" "$((now + of_part))" "$note"
    done
    now=$((now + of_part))
    # The last part is as long as time goes; each of its stages is skipped that does not fit any more.
    if ((part < 4 && of_part > limit)); then echo "part $part takes $of_part s, a command may take $limit s"; bad=1; fi
    if ((part == 3)); then
      echo "parts 1 to 3: $now s of $budget s"
      if ((now > budget)); then bad=1; fi
    fi
  done
  exit "$bad"
fi

if [[ -z $out ]]; then
  out=$root/docs/gpu
  [[ $device == cuda ]] || out=$(mktemp -d /tmp/dura-gpu-check-XXXXXX)
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
if [[ -n $built ]]; then build=$(cd "$built" && pwd) || exit 2; fi
apps=$build/apps
if [[ -z $data && -d $root/.gpu/data ]]; then
  data=$root/.gpu/data weights=$(echo "$root"/.gpu/weights.*)
fi
manifest=${manifest:-$data/manifest.csv}

# On the simulated device everything is done at a size that the CPU gets through in minutes; 34 is the shallowest depth that has layer3.3, from which on
# the half is free.
if [[ $device == cuda ]]; then
  depth=50 train_depth=50 size=224 batch=16 patients=150 batches="16 256" repetitions=200
  peer=cuda peer_options=(--compiled-batches) peer_types="f16 tf32" peer_modes="inf train" peer_batches="16 256"
  study=(--seeds 1 --full) warm_up=2
else
  depth=34 train_depth=18 size=32 batch=4 patients=24 batches="2" repetitions=1 warm_up=0
  # The simulated device has no clock to keep.
  limit=$((limit * 100)) budget=$((budget * 100)) test_limit=$((test_limit * 100))
  peer=cpu peer_options=(--compiled-batches) peer_types="bf16" peer_modes="inf half" peer_batches=$batches
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
  # Only what the stages run.
  local targets=(dura_tests dura-bench dura-train dura-phantom dura-study)
  if [[ $device == cuda ]]; then targets+=(cuda_card_check cudnn_plan_check); fi
  if [[ -n $built ]]; then
    local target missing=0
    for target in "${targets[@]}"; do
      [[ -n $(find "$build" -name "$target" -type f -perm -u+x -print -quit) ]] || { echo "$build has no program $target; build it"; missing=1; }
    done
    return "$missing"
  fi
  (cd "$root" && cmake --preset "$preset" "${options[@]}" && cmake --build --preset "$preset" --parallel "$(nproc)" --target "${targets[@]}")
}

# $1: a name for logs; the rest: a command with tests. Once more, waiting for each kernel, where it fails: then the message names the kernel.
tested() {
  local name=$1
  shift
  DURA_TEST_DEVICE=$device timeout "$test_limit" "$@" && return 0
  echo "$name FAILED; again with CUDA_LAUNCH_BLOCKING=1:"
  CUDA_LAUNCH_BLOCKING=1 DURA_TEST_DEVICE=$device timeout "$test_limit" "$@"
  return 1
}

# Two minutes that tell whether the rest is worth its time: each test by itself, with cuDNN's fused graphs and without.
smoke() {
  local fusion failed=0
  for fusion in 1 0; do
    echo "-- DURA_CUDA_FUSION=$fusion"
    DURA_CUDA_FUSION=$fusion tested smoke "$build/tests/dura_tests" '[smoke]' --durations yes || failed=1
  done
  return "$failed"
}

# All tests of the CUDA backend, on the card; those of the simulated device itself stay on it. A process for each: an error of a kernel takes the
# card from its process for good.
tests() {
  local name failed=0 all
  if [[ $device == cuda ]]; then "$build/tests/engine/cuda/card/cuda_card_check" --properties "$out/device_properties.json" || return 1; fi
  # Catch2 2 and 3.
  local list=(--list-test-names-only)
  grep -q -e "${list[0]}" <<<"$("$build/tests/dura_tests" --help)" || list=(--list-tests --verbosity quiet)
  all=$("$build/tests/dura_tests" "${list[@]}" '[cuda]~[slow],[cuda-sim]~[slow]' | grep . | sed 's/^  *//')
  while read -r name; do
    # Commas and brackets are Catch2's own signs.
    name=${name//,/\\,} name=${name//\[/\\[}
    tested "$name" "$build/tests/dura_tests" "$name" >"$work/one" 2>&1 || { cat "$work/one"; failed=$((failed + 1)); }
  done <<<"$all"
  echo "$(wc -l <<<"$all") tests, $failed failed"
  return "$((failed > 0))"
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
  # A small captured step has all kinds of work in it.
  local tool failed=0
  for tool in memcheck racecheck initcheck; do
    DURA_TEST_DEVICE=cuda timeout 60 compute-sanitizer --tool "$tool" --error-exitcode 1 "$build/tests/dura_tests" '[small-step]' >"$work/$tool" 2>&1 || failed=1
    tail -3 "$work/$tool"
    cp "$work/$tool" "$out/sanitizer-$tool.txt"
    if grep -qiE 'not supported|permission|unable to' "$work/$tool"; then skip "the machine refuses compute-sanitizer" || return; fi
  done
  return "$failed"
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

# Two processes with a card each, against one process with both lanes: the same bytes, whether gradients go from card to card (NCCL, in the order of lanes)
# or through host memory. How long each takes stands in their histories.
cards() {
  command -v mpirun >/dev/null && [[ -e $apps/libdura_mpi.so ]] || skip "mpirun is not installed, or dura was built without MPI" || return
  if [[ $device == cuda ]]; then
    (($(nvidia-smi --list-gpus | wc -l) >= 2)) || skip "there is one card" || return
  fi
  "$apps/dura-phantom" --out "$work/phantoms" --patients 24 --slices 1 --menin-share 0.5 --size 64 >/dev/null || return 1
  local options=(--data "$work/phantoms" --depth 18 --size "$size" --batch "$batch" --lanes 2 --threads 4 --seed 1 --device "$device" --precision f16
    --phase1-epochs 0 --phase2-epochs 1 --unfreeze all)
  "$apps/dura-train" "${options[@]}" --out "$work/one" >"$work/one.log" 2>&1 || { tail -20 "$work/one.log"; return 1; }
  local sums failed=0
  for sums in exact host fast; do
    # A process takes the card of its number on the machine.
    mpirun --allow-run-as-root --oversubscribe -np 2 "$apps/dura-train" "${options[@]}" --device-sums "$sums" --out "$work/two-$sums" \
      >"$work/two.log" 2>&1 || { tail -20 "$work/two.log"; failed=1; continue; }
    if ! grep -F 'cards are linked' "$work/two.log" && [[ $device == cuda && $sums != host ]]; then
      grep -F 'not linked' "$work/two.log"
      echo "$sums: gradients went through host memory"
      failed=1
    fi
    # Of two numbers there is one order, so even sums in any order are the same here.
    cmp "$work/one/model.safetensors" "$work/two-$sums/model.safetensors" && echo "$sums: two processes, a card each: the bytes of one process with two lanes" ||
      failed=1
    column "$work/two-$sums" seconds | sed "s/^/$sums: seconds of an epoch: /"
  done
  return "$failed"
}

# $1: precisions, $2: modes. One process for each type and batch: making plans takes longer than measuring. Clocks rise in the first two seconds.
measure() {
  local type n failed=0
  for type in $1; do
    for n in $batches; do
      # One size too large must not hide the others.
      # shellcheck disable=SC2086
      "$apps/dura-bench" --device "$device" --depth "$depth" --size "$size" --repetitions "$repetitions" --warm-up "$warm_up" --mode $2 --batch "$n" \
        --precision "$type" --compare-capture | tee -a "$out/bench.jsonl" || failed=1
    done
  done
  return "$failed"
}

bench() {
  : >"$out/bench.jsonl"
  measure f16 "train inf"
}

# Engines of cuDNN by their times on this card, beside cuDNN's own choice in the stage `bench`. The plans are this stage's own.
tuned() {
  [[ $device == cuda ]] || skip "the simulated device has no engines to choose from" || return
  local run=("$apps/dura-bench" --device cuda --depth "$depth" --size "$size" --repetitions "$repetitions" --warm-up "$warm_up" --mode train --batch 256 --precision f16)
  "${run[@]}" | tee "$out/tuned.jsonl" && DURA_CUDA_TUNE=1 DURA_CUDA_PLANS=$work/plans "${run[@]}" | tee -a "$out/tuned.jsonl"
}

# Of f32 without TF32 nobody asks how fast it is.
types() { measure "tf32 bf16" "train inf"; }

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
  "$python" "$root/tests/gpu/bench_torch_gpu.py" --device "$peer" --size "$size" --repetitions "$repetitions" --batches $batches --modes $peer_modes \
    --types "${peer_types%% *}" "${peer_options[@]}" | tee "$out/torch.jsonl"
}

# torch.compile takes about a minute for each measurement.
compiled() {
  [[ $peer == cuda ]] || skip "nothing is compiled for the CPU here" || return
  "$python" -c 'import torch, torchvision; assert torch.cuda.is_available()' 2>/dev/null || skip "$python has no torch that sees the card" || return
  "$python" "$root/tests/gpu/bench_torch_gpu.py" --device "$peer" --size "$size" --repetitions "$repetitions" --batches --compiled-batches 256 --compiled-modes train \
    --compiled-types f16 | tee -a "$out/torch.jsonl"
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

# What all commands with this --out have taken so far.
used() { cat "$out"/*.status 2>/dev/null | awk -F'\t' '{ all += $3 } END { print all + 0 }'; }

failures=0
for stage in $stages; do
  declare -F "$stage" >/dev/null || { usage >&2; exit 2; }
  echo "== $stage"
  begin=$SECONDS detail=''
  left=$((limit - SECONDS)) of_budget=$((budget - $(used)))
  if ((of_budget < left)); then left=$of_budget; fi
  if [[ $device == cuda ]] && ((estimate[$stage] > left)); then
    echo "skipped: no time is left: about ${estimate[$stage]} s are needed, $left s are there" >"$out/$stage.log"
    code=77
  else
    timeout --kill-after=10 "$((left > 0 ? left : 1))" "$0" "${arguments[@]}" --out "$out" --only "$stage" >"$out/$stage.log" 2>&1
    code=$?
  fi
  case $code in
    0) status=passed ;;
    77) status=skipped detail=$(sed -n 's/^skipped: //p' "$out/$stage.log" | tail -1) ;;
    *)
      status=FAILED detail="exit code $code, see $stage.log"
      ((code != 124)) || detail="ended after $((SECONDS - begin)) s, see $stage.log"
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
