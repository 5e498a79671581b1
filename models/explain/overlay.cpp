#include "models/explain/overlay.h"

#include <algorithm>

namespace dura {

Image overlay(const Image& image, const HeatMap& map, double opacity) {
  if (!map.has_evidence()) return to_rgb(image);
  const Tensor pixels = Tensor::of<uint8_t>({1, image.height, image.width, image.channels}, image.pixels),
               cells = Tensor::of<float>({1, map.height, map.width}, normalise(map).values),
               colors = Tensor::empty({1, image.height, image.width, 3}, DType::u8, Device::cpu, "overlay");
  backend(Device::cpu).color_map(pixels, cells, placement(map, image.height, image.width), opacity, colors);
  Image out(image.height, image.width, 3);
  std::copy_n(colors.data<uint8_t>(), out.pixels.size(), out.pixels.begin());
  return out;
}

}  // namespace dura
