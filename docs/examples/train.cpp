// Trains a small network from nothing to tell objects with a smooth border from ragged ones, on pictures that it draws itself.
//   usage: train FOLDER [EPOCHS]      a quarter of a minute on two cores
#include <cstdio>
#include <cstdlib>
#include <exception>

#include <dura/data/image/preprocess.h>
#include <dura/data/phantom/pretext.h>
#include <dura/data/set/loader.h>
#include <dura/engine/optim/adam.h>
#include <dura/layers/layers.h>
#include <dura/models/network/answer.h>

using namespace dura;

// Three convolutions with BatchNorm and ReLU, each halving height and width; the mean over all places; a dense layer.
struct Network : Module {
  explicit Network(int64_t classes) : Module("network"), head("head", 64, classes, {}) {
    for (ConvBn* unit : {&first, &second, &third}) {
      add(unit->conv), add(unit->bn);
      initialise_kaiming(unit->conv.weight, 1);
    }
    add(head);
    initialise_dense(head, 1);
  }
  // u8 pictures (N,H,W,3) -> logits (N,classes)
  Var operator()(const Tensor& pictures) {
    const uint8_t* bytes = pictures.data<uint8_t>();
    const Var x = Tensor::of<float>(pictures.shape(), {bytes, bytes + pictures.numel()});  // 0 to 255: BatchNorm scales it
    return head(global_mean(third(second(first(x)))));
  }

  ConvBn first{"conv1", "bn1", 3, 16, 3, {.stride = 2, .padding = 1}, {}};
  ConvBn second{"conv2", "bn2", 16, 32, 3, {.stride = 2, .padding = 1}, {}};
  ConvBn third{"conv3", "bn3", 32, 64, 3, {.stride = 2, .padding = 1}, {}};
  Linear head;
};

int main(int argc, char** argv) try {
  const std::string folder = argc > 1 ? argv[1] : "objects";
  const int epochs = argc > 2 ? std::atoi(argv[2]) : 16;

  // Data: a folder of pictures and its list. Each split is read once; threads of the loader prepare batches.
  const Manifest manifest = write_pretext({.seed = 1, .images = 2400, .size = 64}, folder);
  const SplitRows rows = rows_by_split(manifest);
  const ClassNames classes(
      {"smooth=one_disc=two_discs=one_ring=two_rings", "ragged=one_ragged_ring=two_ragged_rings=one_patch=two_patches"});
  const Dataset training(manifest, rows[Split::train], classes, {}, {.folder = folder});
  const Dataset unseen(manifest, rows[Split::val], classes, {}, {.folder = folder});
  Loader batches(training, {.batch_size = 16, .training = true, .seed = 1}), unseen_batches(unseen, {.batch_size = 16});

  Network network(classes.size());
  Adam adam(network.parameters(), {});
  for (int epoch = 0; epoch < epochs; ++epoch) {
    network.set_training(true);
    adam.set_learning_rate(3e-3 * (epochs - epoch) / epochs);
    for (batches.start_epoch(epoch); batches.next(); adam.step()) {
      adam.begin_step();
      Tape tape;  // while it lives, ops record how to go back
      tape.backward(cross_entropy(network(batches.batch().images), batches.batch().labels).loss);
    }

    network.set_training(false);  // and no tape: inference
    int right = 0;
    for (unseen_batches.start_epoch(0); unseen_batches.next();) {
      const Batch& batch = unseen_batches.batch();
      const std::vector<Answer> answers = answers_of(network(batch.images).value());
      for (int64_t i = 0; i < batch.rows; ++i) right += answers[i].predicted == batch.labels.data<int32_t>()[i];
    }
    std::printf("epoch %d: %d of %d unseen pictures right\n", epoch + 1, right, static_cast<int>(unseen.size()));
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
