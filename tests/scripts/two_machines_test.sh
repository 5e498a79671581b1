#!/usr/bin/env bash
# One run of dura-train over two "machines" (two_machines.sh) has the bytes of one process alone, also where gradients travel while backward
# goes on; a machine that is gone is named.
# usage: two_machines_test.sh FOLDER_OF_THE_PROGRAMS
set -euo pipefail
programs=$(cd "$1" && pwd)
# shellcheck source=tests/scripts/two_machines.sh
source "$(dirname "${BASH_SOURCE[0]}")/two_machines.sh"

"$programs/dura-phantom" --out "$work/data" --patients 20 --slices 2 --size 64 --seed 5 >/dev/null
train=("$programs/dura-train" --data "$work/data" --depth 18 --size 32 --batch 8 --lanes 4 --phase1-epochs 1 --augment light --threads 1 --device cpu)
CUDA_VISIBLE_DEVICES='' "${train[@]}" --phase2-epochs 1 --out "$work/alone"
on_both "$programs/dura-inspect" --version >/dev/null || skip "mpirun does not reach the other namespace"
for bucket in 0 1024; do
  on_both "${train[@]}" --phase2-epochs 1 --comm-bucket "$bucket" --out "$work/both$bucket"
  for file in model.safetensors last.safetensors best_phase2.safetensors; do
    cmp "$work/both$bucket/$file" "$work/alone/$file"
  done
done
sent=$(ip -n "$a" -s -s link show v0 | awk '/TX:/ { getline; print $1 }')
echo "sent by the first machine: $sent bytes"
((sent > 100000000))  # the runs went over the link

# The link goes down in the middle of a run.
: >"$work/cut.log"
on_both "${train[@]}" --phase2-epochs 50 --comm-timeout 20 --out "$work/cut" >"$work/cut.log" 2>&1 &
run=$!
for ((i = 0; i < 900; ++i)); do
  if grep -q "phase2 epoch 1/50  train loss" "$work/cut.log"; then break; fi
  sleep 0.2
done
ip -n "$b" link set v1 down
# mpirun itself may go on waiting for what it started beyond the link.
for ((i = 0; i < 300; ++i)); do
  if grep -q "has not answered for" "$work/cut.log"; then break; fi
  sleep 0.2
done
for ((i = 0; i < 50; ++i)); do
  kill -0 "$run" 2>/dev/null || break
  sleep 0.2
done
kill "$run" 2>/dev/null || true
wait "$run" || true
cat "$work/cut.log"
grep -q "rank 0 on machine-a: rank 1 on machine-b has not answered for" "$work/cut.log"
test -s "$work/cut/last.safetensors"
echo "two machines: the same bytes"
