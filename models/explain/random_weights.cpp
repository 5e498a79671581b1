#include "models/explain/random_weights.h"

#include "weights/load.h"

namespace dura {

namespace {

// 0: the stem, 1 to 4: layer1 to layer4.
int stage_of(const ConvBn& unit) {
  const std::string& name = unit.conv.name();
  return name.rfind("layer", 0) == 0 ? name[5] - '0' : 0;
}

void randomise_head(Classifier& model, uint64_t seed) {
  Linear& head = model.head();
  initialise_dense(head, seed);
  const Tensor& master = head.weight.master();
  const Tensor host = Tensor::empty(master.shape(), master.dtype(), Device::cpu),
               wide = Tensor::empty(master.shape(), DType::f64, Device::cpu);
  backend(master.device()).download(master, host.raw());
  backend(Device::cpu).cast(host, wide);
  const int64_t K = master.shape()[0], C = master.shape()[1];
  double* w = wide.data<double>();
  for (int64_t c = 0; c < C; ++c) {
    double mean = 0;
    for (int64_t k = 0; k < K; ++k) mean += w[k * C + c] / static_cast<double>(K);
    for (int64_t k = 0; k < K; ++k) w[k * C + c] -= mean;
  }
  head.weight.assign(wide);
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
    if (stage_of(*u) >= first_stage) changed.push_back(u);
  }
  if (changed.empty()) return;
  for (ConvBn* u : changed) {
    initialise_kaiming(u->conv.weight, seed);
    u->bn.reset();
    u->bn.set_batch_statistics(true);
    u->bn.momentum = 1;  // the statistics of this batch take the place of the stored ones
  }
  const Tensor on_device = Tensor::empty(images.shape(), DType::u8, model.options().backbone.tensors.device, "images");
  backend(on_device.device()).upload(images.raw(), on_device);
  const bool was_training = model.training();
  model.set_training(true);
  model.backbone().run(model.normalize(on_device));
  model.set_training(was_training);
  for (ConvBn* u : changed) {
    u->bn.momentum = BatchNormArgs{}.momentum;
    u->bn.set_batch_statistics(false);
  }
}

}  // namespace dura
