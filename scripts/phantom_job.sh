# Sourced by run.sh and by the test of three seeds: the job on synthetic slices, step by step, so that both do the same. Needs `bin` (the
# folder of the programs) and `root` (the source tree).
# shellcheck shell=bash

classes=(Menin=meningioma Glioma)

# phantom_pretrain OUT: a backbone that has learnt kinds and numbers of bright objects, OUT/pretraining/model.safetensors.
phantom_pretrain() {
  local out=$1
  "$bin/dura-phantom" --task pretext --images 5200 --size 64 --seed 2 --out "$out/pretraining_data"
  "$bin/dura-train" --data "$out/pretraining_data" --out "$out/pretraining" --config "$root/configs/phantom_pretraining.toml"
}

# phantom_draw OUT SEED: synthetic heads with tumours in OUT/data.
phantom_draw() { "$bin/dura-phantom" --task tumour --patients 2250 --slices 2 --val 0.15 --test 0.12 --seed "$2" --out "$1/data"; }

# phantom_transfer OUT SEED BACKBONE: trains on OUT/data and scores the test set; everything in OUT/transfer, at last the model with its
# scores, scored.safetensors.
phantom_transfer() {
  local out=$1 seed=$2 backbone=$3
  "$bin/dura-train" --data "$out/data" --out "$out/transfer" --classes "${classes[@]}" --weights "$backbone" --config "$root/configs/phantom.toml" --seed "$seed"
  "$bin/dura-evaluate" --data "$out/data" --model "$out/transfer/model.safetensors" --split test --balanced --out "$out/transfer" --card "$out/transfer/scored.safetensors" --classes "${classes[@]}"
}
