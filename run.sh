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

# From a prepared data folder to the report: train_and_report DATA RUN STAGE TRAINING-OPTIONS... STAGE: whose heat maps are drawn.
train_and_report() {
  local data=$1 run=$2 stage=$3
  shift 3
  say "training: head first, then the last half of the layers"
  "$bin/dura-train" --data "$data" --out "$run" --classes Menin=meningioma Glioma "$@"
  say "evaluating on the test set"
  "$bin/dura-evaluate" --data "$data" --model "$run/model.safetensors" --split test --out "$run" --classes Menin=meningioma Glioma ${manifest:+--manifest "$manifest"}
  say "heat maps"
  "$bin/dura-gradcam" --stage "$stage" --data "$data" --model "$run/model.safetensors" --split test --out "$run/heat_maps" --classes Menin=meningioma Glioma ${manifest:+--manifest "$manifest"}
  say "done: $run/report.html (figures) and $run/heat_maps/index.html (heat maps)"
}

# Draws two phantom tasks, learns the first, and transfers what was learnt to the second.
phantom_job() {
  local out=$1
  say "drawing synthetic slices"
  "$bin/dura-phantom" --task pretext --images 5200 --size 64 --seed 2 --out "$out/pretraining_data"
  "$bin/dura-phantom" --task tumour --patients 1500 --val 0.15 --test 0.12 --seed 1 --out "$out/data"
  say "pretraining the backbone on another task"
  "$bin/dura-train" --data "$out/pretraining_data" --out "$out/pretraining" --config "$root/configs/phantom_pretraining.toml"
  # At 128 px layer4 has 4x4 places, too few to point at a tumour.
  train_and_report "$out/data" "$out/transfer" layer3 --weights "$out/pretraining/model.safetensors" --config "$root/configs/phantom.toml"
}

real_job() {
  local data=$1 weights=$2 out=$3
  mkdir -p "$out"
  say "preparing $data"
  "$bin/dura-prepare" "$data" --classes Menin=meningioma Glioma --out "$out/manifest.csv"
  manifest=$out/manifest.csv
  train_and_report "$data" "$out" layer4 --manifest "$out/manifest.csv" --weights "$weights" --config "$root/configs/mission.toml"
}

ensure_packages
build_dura "$root" cpu programs
if [[ -n $data ]]; then
  real_job "$data" "$weights" "${out:-$root/runs/real}"
else
  phantom_job "${out:-$root/runs/phantom}"
fi
