#include "models/explain/overlay.h"

namespace dura {

Image overlay(const Image& image, const HeatMap& map, const OverlayOptions& options) {
  if (!map.has_evidence()) return to_rgb(image);
  const HeatMap scaled = normalise(map);
  Backend& device = backend(options.device);
  const auto there = [&](const void* host, const Shape& shape, DType dtype, const char* what) {
    const Tensor t = Tensor::empty(shape, dtype, options.device, what);
    device.upload(host, t);
    return t;
  };
  const Tensor pixels = there(image.pixels.data(), {1, image.height, image.width, image.channels}, DType::u8, "picture");
  const Tensor cells = there(scaled.values.data(), {1, map.height, map.width}, DType::f32, "heat map");
  const Tensor colors = Tensor::empty({1, image.height, image.width, 3}, DType::u8, options.device, "overlay");
  device.color_map(pixels, cells, placement(map, image.height, image.width), options.opacity, colors);
  Image out(image.height, image.width, 3);
  device.download(colors, out.pixels.data());
  return out;
}

}  // namespace dura
