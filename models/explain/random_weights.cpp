#include "models/explain/random_weights.h"

#include "engine/core/host_values.h"
#include "layers/no_grad_scope.h"
#include "weights/load.h"

namespace dura {

namespace {

void randomise_head(Classifier& model, uint64_t seed) {
  Linear& head = model.head();
  initialise_dense(head, seed);
  const Tensor& master = head.weight.master();
  const int64_t K = master.shape()[0], C = master.shape()[1];
  std::vector<double> values = download_as_double(master);
  double* w = values.data();
  for (int64_t c = 0; c < C; ++c) {
    double mean = 0;
    for (int64_t k = 0; k < K; ++k) mean += w[k * C + c] / static_cast<double>(K);
    for (int64_t k = 0; k < K; ++k) w[k * C + c] -= mean;
  }
  head.weight.assign(Tensor::of(master.shape(), values));
}

}  // namespace

std::unique_ptr<Classifier> copy_of(Classifier& model) {
  auto copy = std::make_unique<Classifier>(model.options(), Initialise::no);
  load_state(*copy, state_of(model), Strict::yes, "the model");
  return copy;
}

void randomise_weights(Classifier& model, int first_stage, uint64_t seed, const Tensor& images) {
  randomise_head(model, seed);
  std::vector<ConvBn*> changed;
  for (ConvBn* u : model.backbone().units()) {
    u->bn.set_batch_statistics(false);
    if (ResNet::stage_of(*u) >= first_stage) changed.push_back(u);
  }
  if (changed.empty()) return;
  for (ConvBn* u : changed) {
    initialise_kaiming(u->conv.weight, seed);
    u->bn.reset();
    u->bn.set_batch_statistics(true);
    u->bn.momentum = 1;  // the statistics of this batch take the place of the stored ones
  }
  {
    const NoGradScope no_grad(model, true);
    model.backbone().run(model.normalize(images));
  }
  for (ConvBn* u : changed) {
    u->bn.momentum = BatchNormArgs{}.momentum;
    u->bn.set_batch_statistics(false);
  }
}

}  // namespace dura
