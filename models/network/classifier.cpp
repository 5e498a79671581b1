#include "models/network/classifier.h"

#include <algorithm>

#include "engine/base/text.h"
#include "engine/core/trace.h"

namespace dura {

Classifier::Classifier(const ClassifierOptions& o, Initialise initialise)
    : Module(""),
      options_(o),
      backbone_(o.backbone),
      dropout_("dropout", o.dropout, o.seed),
      head_("fc", backbone_.channels(), static_cast<int64_t>(o.classes.size()), o.backbone.tensors) {
  DURA_CHECK(o.classes.size() >= 2, "a classifier needs at least two classes, got ", o.classes.size());
  add(backbone_);
  add(dropout_);
  add(head_);
  if (initialise == Initialise::no || o.backbone.tensors.device == Device::meta) return;
  backbone_.initialise(o.seed);
  initialise_dense(head_, o.seed);
}

const Normalisation& normalisation_of(InputConvention input) {
  static constexpr Normalisation torch = {{0.485f * 255, 0.456f * 255, 0.406f * 255}, {0.229f * 255, 0.224f * 255, 0.225f * 255}, false};
  static constexpr Normalisation caffe = {{103.06f, 115.90f, 123.15f}, {1, 1, 1}, true};
  static constexpr Normalisation keras = {{103.939f, 116.779f, 123.68f}, {1, 1, 1}, true};
  return input == InputConvention::caffe ? caffe : input == InputConvention::keras ? keras : torch;
}

Tensor Classifier::normalize(const Tensor& images) {
  DURA_CHECK(images.dtype() == DType::u8 && images.shape().rank() == 4 && images.shape()[3] == 3, "normalize: images are ",
             describe(images), ", expected u8 (N,H,W,3)");
  const Normalisation& n = normalisation_of(options_.input);
  const TensorOptions& t = options_.backbone.tensors;
  Tensor pixels = images;
  if (images.device() != t.device) {
    pixels = Tensor::empty(images.shape(), DType::u8, t.device, "images");
    backend(t.device).upload(images.data<uint8_t>(), pixels);
  }
  const Label label("normalize");
  const Tensor x = Tensor::empty(images.shape(), t.compute, t.device, "normalised images");
  backend(t.device).normalize(pixels, n.mean, n.deviation, n.bgr, x);
  return x;
}

Var Classifier::operator()(const Var& x, const Tensor& row_keys) { return classify(backbone_.run(x), row_keys); }

Var Classifier::classify(const Var& features, const Tensor& row_keys) {
  Var pooled;
  {
    const Label label("avgpool");
    pooled = global_mean(features);
  }
  return head_(dropout_(pooled, row_keys));
}

void Classifier::freeze_backbone() {
  for (ConvBn* u : backbone_.units()) {
    u->set_trainable(false);
    u->bn.set_batch_statistics(false);
  }
}

void Classifier::unfreeze(const std::string& policy) {
  const std::vector<ConvBn*> units = backbone_.units();
  size_t first = units.size();
  const auto share = [&](double percent) {
    first = units.size() - static_cast<size_t>(static_cast<double>(units.size()) * percent / 100 + 0.5);
  };
  if (policy == "none") return;
  if (policy == "all") {
    first = 0;
  } else if (policy == "keras50" && options_.backbone.depth != 50) {
    share(50);
  } else if (const size_t at = policy.find("%convs"); at != std::string::npos && at + 6 == policy.size()) {
    const double percent = parse_number(policy.substr(0, at)).value_or(0);
    if (!(percent > 0 && percent <= 100)) fail_usage("unfreeze: '", policy, "' is not a share of the convolutions, like 50%convs");
    share(percent);
  } else {
    std::string prefix = policy == "keras50" ? "layer3.0.downsample" : policy;
    if (!prefix.empty() && prefix.back() == '+') prefix.pop_back();
    const auto matches = [&](const ConvBn* u) { return (u->conv.name() + ".").starts_with(prefix + "."); };
    first = static_cast<size_t>(std::find_if(units.begin(), units.end(), matches) - units.begin());
    if (first == units.size())
      fail_usage("unfreeze: no layer is called '", policy, "'. Use keras50, layer3+, layer3.3+, layer4, 50%convs, all or none.");
  }
  for (size_t i = first; i < units.size(); ++i) units[i]->set_trainable(true);
}

int64_t Classifier::trainable_numel() {
  int64_t n = 0;
  for (const Parameter* p : parameters())
    if (p->trainable()) n += p->shape().numel();
  return n;
}

}  // namespace dura
