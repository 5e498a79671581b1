#include "models/explain/grad_cam.h"

#include <algorithm>

#include "layers/module.h"
#include "models/network/answer.h"

namespace dura {

namespace {

// The gradient of sum_n logits[n, classes[n]]: one in those places, else zero.
Tensor one_hot(const std::vector<int32_t>& classes, const Tensor& logits) {
  const int64_t N = logits.shape()[0], K = logits.shape()[1];
  DURA_CHECK(std::ssize(classes) == N, "grad_cam: ", classes.size(), " classes for ", N, " images");
  std::vector<double> ones(static_cast<size_t>(N * K));
  for (int64_t n = 0; n < N; ++n) {
    const int32_t c = classes[static_cast<size_t>(n)];
    DURA_CHECK(c >= 0 && c < K, "grad_cam: class ", c, " of ", K);
    ones[static_cast<size_t>(n * K + c)] = 1;
  }
  return upload_from_double(logits.shape(), ones, logits.dtype(), logits.device());
}

// The one method that runs on the device: two kernels, no large download.
Tensor mean_weighted(const Tensor& activations, const Tensor& gradients) {
  Backend& b = backend(activations.device());
  const Shape& s = activations.shape();
  const Tensor alpha = Tensor::empty({s[0], s[3]}, activations.dtype(), activations.device());
  b.global_mean_forward(gradients, alpha);
  const Tensor maps = Tensor::empty({s[0], s[1], s[2]}, stat_dtype(activations.dtype()), activations.device());
  b.weighted_channel_sum(activations, alpha, true, maps);
  return maps;
}

// w_k of Grad-CAM++ for one image: a, g are (places,C).
std::vector<double> plus_plus_weights(const double* a, const double* g, int64_t places, int64_t C) {
  std::vector<double> sums(static_cast<size_t>(C)), weights(static_cast<size_t>(C));
  for (int64_t i = 0; i < places; ++i)
    for (int64_t k = 0; k < C; ++k) sums[static_cast<size_t>(k)] += a[i * C + k];
  for (int64_t i = 0; i < places; ++i)
    for (int64_t k = 0; k < C; ++k) {
      const double v = g[i * C + k];
      if (v <= 0) continue;  // relu(g) is zero there
      weights[static_cast<size_t>(k)] += v * v * v / (2 * v * v + sums[static_cast<size_t>(k)] * v * v * v + 1e-6);
    }
  return weights;
}

// The other methods, on the host: they need the gradient of every place, and a few megabytes of it are cheap beside the network.
Tensor place_by_place(CamMethod method, const Tensor& activations, const Tensor& gradients) {
  const std::vector<double> a = download_as_double(activations), g = download_as_double(gradients);
  const Shape& s = activations.shape();
  const int64_t places = s[1] * s[2], C = s[3];
  std::vector<double> maps;
  for (int64_t n = 0; n < s[0]; ++n) {
    const double *an = a.data() + n * places * C, *gn = g.data() + n * places * C;
    const bool plus_plus = method == CamMethod::grad_cam_plus_plus;
    const std::vector<double> weights = plus_plus ? plus_plus_weights(an, gn, places, C) : std::vector<double>();
    for (int64_t i = 0; i < places; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < C; ++k) {
        const double v = gn[i * C + k];
        sum += an[i * C + k] * (plus_plus ? weights[static_cast<size_t>(k)] : method == CamMethod::layer_cam ? std::max(v, 0.0) : v);
      }
      maps.push_back(std::max(sum, 0.0));
    }
  }
  return upload_from_double({s[0], s[1], s[2]}, maps, stat_dtype(activations.dtype()), Device::cpu);
}

void check_call(const Classifier& model, const GradCamOptions& o) {
  DURA_CHECK(!model.training(), "grad_cam: the model is in training mode, where dropout is random. Call set_training(false) first.");
  DURA_CHECK(o.stage >= 0 && o.stage < ResNet::stages, "grad_cam: stage ", o.stage, " of 0 (stem) to 4 (layer4)");
}

}  // namespace

const std::vector<std::string>& cam_method_names() {
  static const std::vector<std::string> names = {"gradcam", "gradcam++", "hirescam", "layercam"};
  return names;
}

CamMethod cam_method_by_name(const std::string& name) {
  const std::vector<std::string>& names = cam_method_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) fail_usage("there is no heat map method '", name, "'. Use gradcam, gradcam++, hirescam or layercam.");
  return static_cast<CamMethod>(found - names.begin());
}

GradCam grad_cam(Classifier& model, const Tensor& x, const GradCamOptions& o) {
  check_call(model, o);
  const Tensor activations = [&] {
    const NoGradScope no_grad(model);
    return model.backbone().run(x, 0, o.stage).value();
  }();
  return grad_cam_of(model, activations, o);
}

GradCam grad_cam_of(Classifier& model, const Tensor& activations, const GradCamOptions& o) {
  check_call(model, o);
  Tape tape(Tape::Wants::leaves);
  const Var a = Var::leaf(activations);
  const Var logits = model.classify(model.backbone().run(a, o.stage + 1));
  std::vector<int32_t> classes = o.classes.empty() ? argmax_rows(download_as_double(logits.value()), logits.shape()[1]) : o.classes;
  tape.backward(logits, one_hot(classes, logits.value()));
  const Tensor maps =
      o.method == CamMethod::grad_cam ? mean_weighted(activations, a.grad()) : place_by_place(o.method, activations, a.grad());
  return {maps, logits.value(), std::move(classes)};
}

}  // namespace dura
