#include "models/explain/explanation.h"

#include <algorithm>

#include "data/image/rgb_batch.h"
#include "data/set/loader.h"

namespace dura {

namespace {
// `size`: pixels of the network's input along one side.
CellMiddles middles_of(const ResNet::CellPixels& cells, int64_t size) {
  const auto side = static_cast<double>(size);
  return {(static_cast<double>(cells.first) + 0.5) / side, static_cast<double>(cells.step) / side};
}
}  // namespace

MapMiddles map_middles(const Classifier& model, const ExplainOptions& o, int64_t height, int64_t width) {
  if (!o.by_receptive_field) return {};
  const ResNet::CellPixels cells = model.backbone().cell_pixels(o.stage);
  return {middles_of(cells, height), middles_of(cells, width)};
}

std::vector<Explanation> explanations_of(const GradCam& cam, const MapMiddles& middles) {
  const std::vector<double> values = download_as_double(cam.maps);
  const int64_t h = cam.maps.shape()[1], w = cam.maps.shape()[2];
  std::vector<Explanation> result;
  for (Answer& answer : answers_of(cam.logits)) {
    const auto first = values.begin() + std::ssize(result) * h * w;
    const int32_t explained = cam.classes[result.size()];
    result.push_back({std::move(answer), explained, {h, w, {first, first + h * w}, middles.rows, middles.columns}});
  }
  return result;
}

std::vector<Explanation> explain(Classifier& model, const Tensor& images, const ExplainOptions& o) {
  std::vector<int32_t> classes;
  if (o.explained >= 0) classes.assign(static_cast<size_t>(images.shape()[0]), o.explained);
  const GradCam cam = grad_cam(model, model.normalize(images), {.method = o.method, .stage = o.stage, .classes = std::move(classes)});
  return explanations_of(cam, map_middles(model, o, images.shape()[1], images.shape()[2]));
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
  std::vector<Image> images;
  for (int64_t s : samples) images.push_back(dataset.image(s));
  return rgb_batch(images);
}

std::vector<int64_t> spread(int64_t size, int64_t count) {
  if (count <= 0 || count > size) count = size;
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) chosen.push_back(i * size / count);
  return chosen;
}

}  // namespace dura
