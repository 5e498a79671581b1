#!/usr/bin/env bash
# Builds dura and does its one job from beginning to end: without arguments on synthetic slices that it draws itself, with --data on real ones.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: ./run.sh [--out DIR]                              synthetic slices, no download, under ten minutes on two cores
       ./run.sh --data DIR --weights FILE [--out DIR]    the real job
  --data DIR      a folder with manifest.csv, or with one folder of pictures per class
  --weights FILE  ImageNet weights of ResNet-50, .safetensors or .pth
  --out DIR       where models, tables, pictures and the report go (default: runs/phantom or runs/real)
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/build.sh
source "$root/scripts/build.sh"
bin=$root/build/apps
# shellcheck source=scripts/phantom_job.sh
source "$root/scripts/phantom_job.sh"

data='' weights='' out='' manifest=''
while (($# > 0)); do
  case $1 in
    --help | -h)
      usage
      exit 0
      ;;
    --data | --weights | --out)
      (($# > 1)) || die "$1 needs a value"
      printf -v "${1#--}" '%s' "$2"
      shift
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  shift
done
if [[ -n $data && -z $weights || -z $data && -n $weights ]]; then die "--data and --weights go together"; fi

# finish RUN DATA STAGE: heat maps of the test set from the backbone's STAGE, the report, and where it is.
finish() {
  local run=$1 data=$2 stage=$3
  say "heat maps"
  "$bin/dura-gradcam" --stage "$stage" --data "$data" --model "$run/model.safetensors" --split test --out "$run/heat_maps" --classes "${classes[@]}" ${manifest:+--manifest "$manifest"}
  "$bin/dura-report" --run "$run"
  say "done: $run/report.html (everything), $run/heat_maps/index.html (more heat maps) and $run/scored.safetensors (the model, its scores in its card)"
}

# Draws two phantom tasks, learns the first, and transfers what was learnt to the second.
phantom_job() {
  local out=$1
  say "pretraining the backbone on another task"
  phantom_pretrain "$out"
  say "drawing synthetic slices, training (head first, then the last half of the layers), evaluating"
  phantom_draw "$out" 1
  "$bin/dura-prepare" "$out/data" --classes "${classes[@]}" --report "$out/transfer"
  phantom_transfer "$out" 1 "$out/pretraining/model.safetensors"
  # At 128 px layer4 has 4x4 places, too few to point at a tumour.
  finish "$out/transfer" "$out/data" layer3
}

real_job() {
  local data=$1 weights=$2 out=$3
  mkdir -p "$out"
  say "preparing $data"
  manifest=$out/manifest.csv
  "$bin/dura-prepare" "$data" --classes "${classes[@]}" --out "$manifest" --report "$out"
  say "training: head first, then the last half of the layers"
  "$bin/dura-train" --data "$data" --out "$out" --classes "${classes[@]}" --manifest "$manifest" --weights "$weights" --config "$root/configs/mission.toml"
  say "evaluating on the test set"
  "$bin/dura-evaluate" --data "$data" --model "$out/model.safetensors" --split test --balanced --out "$out" --card "$out/scored.safetensors" --classes "${classes[@]}" --manifest "$manifest"
  finish "$out" "$data" layer4
}

ensure_packages
# Without a card, compiling for one would only take time.
cuda=OFF
if [[ -e /dev/nvidiactl ]]; then cuda=AUTO; fi
build_dura "$root" cpu "$cuda" programs
if [[ -n $data ]]; then
  real_job "$data" "$weights" "${out:-$root/runs/real}"
else
  phantom_job "${out:-$root/runs/phantom}"
fi
