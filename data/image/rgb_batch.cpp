#include "data/image/rgb_batch.h"

#include <algorithm>

namespace dura {

Tensor rgb_batch(const std::vector<Image>& pictures) {
  DURA_CHECK(!pictures.empty(), "a batch of no pictures was asked for");
  const int64_t height = pictures.front().height, width = pictures.front().width;
  const Tensor batch = Tensor::empty({std::ssize(pictures), height, width, 3}, DType::u8, Device::cpu, "images");
  uint8_t* to = batch.data<uint8_t>();
  for (const Image& p : pictures) {
    DURA_CHECK(p.height == height && p.width == width, "a batch holds pictures of ", height, "x", width, " and of ", p.height, "x", p.width,
               " pixels. Resize all to one size.");
    const Image rgb = to_rgb(p);
    to = std::copy(rgb.pixels.begin(), rgb.pixels.end(), to);
  }
  return batch;
}

}  // namespace dura
