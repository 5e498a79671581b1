#!/usr/bin/env bash
# What gradients that travel while backward goes on gain (dura-train --comm-bucket) over a slow link between two "machines" (two_machines.sh)
# of one thread each: images per second in epochs of phase 2, in turn with and without buckets.
# usage: RATE=1gbit DELAY=250us bench_slow_link.sh FOLDER_OF_THE_PROGRAMS [ROUNDS] [OPTIONS OF dura-train...]
set -euo pipefail
programs=$(cd "$1" && pwd) rounds=${2:-3}
shift $(($# < 2 ? $# : 2))
# shellcheck source=tests/scripts/two_machines.sh
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/two_machines.sh"
"$programs/dura-phantom" --out "$work/data" --patients 60 --slices 2 --size 128 --seed 5 --val 0.05 --test 0.2 >/dev/null
train=("$programs/dura-train" --data "$work/data" --depth 18 --size 128 --batch 8 --lanes 2 --phase1-epochs 0 --phase2-epochs 3 --unfreeze all
  --patience 0 --threads 1 --device cpu "$@")
for ((round = 1; round <= rounds; ++round)); do
  for bucket in 0 4096; do
    on_both "${train[@]}" --comm-bucket "$bucket" --out "$work/$bucket.$round" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    # The first epoch also plans the step.
    sed -nE 's/.*phase2 epoch ([23]).*train loss.*, ([0-9.]+ images.s)\).*/\1: \2/p' "$work/log" | sed "s/^/round $round, --comm-bucket $bucket, epoch /"
  done
done
cmp "$work/0.1/model.safetensors" "$work/4096.1/model.safetensors" && echo "the same bytes"
