#include "models/grad_cam.h"

#include <algorithm>

namespace dura {

GradCam grad_cam(Classifier& model, const Tensor& x, int stage, std::vector<int32_t> classes) {
  DURA_CHECK(!model.training(), "grad_cam: the model is in training mode, where dropout is random. Call set_training(false) first.");
  DURA_CHECK(stage >= 0 && stage < ResNet::stages, "grad_cam: stage ", stage, " of 0 (stem) to 4 (layer4)");
  Backend& b = backend(x.device());
  const int64_t N = x.shape()[0], K = static_cast<int64_t>(model.classes().size());

  Tensor activations;
  {
    const Tape nothing(Tape::Wants::leaves);  // constants only: nothing is recorded
    activations = model.backbone().run(x, 0, stage).value();
  }
  Tape tape(Tape::Wants::leaves);
  const Var a = Var::leaf(activations);
  const Var logits = model.classify(stage < ResNet::stages - 1 ? model.backbone().run(a, stage + 1) : a);

  if (classes.empty()) {
    const Tensor p = softmax(logits.value());
    std::vector<char> bytes(p.bytes());
    b.download(p, bytes.data());
    const auto argmax = [&](auto* row) { return static_cast<int32_t>(std::max_element(row, row + K) - row); };
    for (int64_t n = 0; n < N; ++n)
      classes.push_back(p.dtype() == DType::f64 ? argmax(reinterpret_cast<const double*>(bytes.data()) + n * K)
                                                : argmax(reinterpret_cast<const float*>(bytes.data()) + n * K));
  }
  DURA_CHECK(static_cast<int64_t>(classes.size()) == N, "grad_cam: ", classes.size(), " classes for ", N, " images");

  Tensor one_hot = Tensor::zeros({N, K}, DType::f64, Device::cpu);
  for (int64_t n = 0; n < N; ++n) {
    const int32_t c = classes[static_cast<size_t>(n)];
    DURA_CHECK(c >= 0 && c < K, "grad_cam: class ", c, " of ", K);
    one_hot.data<double>()[n * K + c] = 1;
  }
  const Tensor seed_host = Tensor::empty({N, K}, logits.value().dtype(), Device::cpu),
               seed = Tensor::empty({N, K}, logits.value().dtype(), x.device());
  backend(Device::cpu).cast(one_hot, seed_host);
  b.upload(seed_host.raw(), seed);
  tape.backward(logits, seed);

  const Tensor alpha = Tensor::empty({N, activations.shape()[3]}, activations.dtype(), x.device());
  b.global_mean_forward(a.grad(), alpha);
  const Tensor maps = Tensor::empty({N, activations.shape()[1], activations.shape()[2]}, stat_dtype(activations.dtype()), x.device());
  b.weighted_channel_sum(activations, alpha, true, maps);
  return {maps, logits.value(), std::move(classes)};
}

}  // namespace dura
