#include "models/explain/explanation.h"

#include <algorithm>

#include "models/network/answer.h"
#include "data/set/loader.h"

namespace dura {

namespace {
// `extent`: pixels of the network's input along one side.
CellMiddles middles_of(const ResNet::CellPixels& cells, int64_t extent) {
  const auto side = static_cast<double>(extent);
  return {(static_cast<double>(cells.first) + 0.5) / side, static_cast<double>(cells.step) / side};
}
}  // namespace

std::vector<Explanation> explain(Classifier& model, const Tensor& images, const ExplainOptions& o) {
  const Tensor on_device = Tensor::empty(images.shape(), DType::u8, model.options().backbone.tensors.device, "images");
  backend(on_device.device()).upload(images.raw(), on_device);
  const int64_t N = images.shape()[0], K = static_cast<int64_t>(model.classes().size());
  std::vector<int32_t> classes;
  if (o.explained >= 0) classes.assign(static_cast<size_t>(N), o.explained);
  const GradCam cam = grad_cam(model, model.normalize(on_device), {.method = o.method, .stage = o.stage, .classes = std::move(classes)});
  const std::vector<double> p = softmax_rows(download_as_double(cam.logits), K), values = download_as_double(cam.maps);
  const std::vector<int32_t> predicted = argmax_rows(p, K);
  const int64_t h = cam.maps.shape()[1], w = cam.maps.shape()[2];
  CellMiddles rows, columns;
  if (o.by_receptive_field) {
    const ResNet::CellPixels cells = model.backbone().cell_pixels(o.stage);
    rows = middles_of(cells, images.shape()[1]), columns = middles_of(cells, images.shape()[2]);
  }
  std::vector<Explanation> result;
  for (int64_t n = 0; n < N; ++n) {
    const auto i = static_cast<size_t>(n);
    result.push_back({.predicted = predicted[i],
                      .explained = cam.classes[i],
                      .probability = p[i * static_cast<size_t>(K) + static_cast<size_t>(predicted[i])],
                      .map = {h, w, {values.begin() + n * h * w, values.begin() + (n + 1) * h * w}, rows, columns}});
  }
  return result;
}

std::vector<Explanation> explain(Classifier& model, const Dataset& dataset, const std::vector<int64_t>& samples, int64_t batch,
                                 const ExplainOptions& options) {
  LoaderOptions in_order{.batch_size = batch, .policies = {}, .items = {}};
  for (int64_t s : samples) in_order.items.push_back({.sample = s});
  std::vector<Explanation> result;
  if (samples.empty()) return result;
  Loader loader(dataset, in_order);
  for (loader.start_epoch(0); loader.next();) {
    std::vector<Explanation> explained = explain(model, loader.batch().images, options);
    std::move(explained.begin(), explained.begin() + loader.batch().rows, std::back_inserter(result));
  }
  return result;
}

Tensor images_of(const Dataset& dataset, const std::vector<int64_t>& samples) {
  const Tensor images =
      Tensor::empty({static_cast<int64_t>(samples.size()), dataset.height(), dataset.width(), 3}, DType::u8, Device::cpu, "images");
  uint8_t* to = images.data<uint8_t>();
  for (int64_t s : samples) {
    const Image image = to_rgb(dataset.image(s));
    to = std::copy(image.pixels.begin(), image.pixels.end(), to);
  }
  return images;
}

std::vector<int64_t> spread(int64_t size, int64_t count) {
  if (count <= 0 || count > size) count = size;
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) chosen.push_back(i * size / count);
  return chosen;
}

}  // namespace dura
