#include "data/image/median.h"

#include <algorithm>

namespace dura {

Image median_filter(const Image& image, int64_t width) {
  if (width < 3 || width > 15 || width % 2 == 0) fail_usage("median filter: a square of ", width, " pixels; use 3, 5, ... 15");
  const int64_t reach = width / 2;
  Image result(image.height, image.width, image.channels);
  std::vector<uint8_t> square(static_cast<size_t>(width * width));
  const auto middle = square.begin() + static_cast<std::ptrdiff_t>(square.size() / 2);
  for (int64_t r = 0; r < image.height; ++r)
    for (int64_t c = 0; c < image.width; ++c)
      for (int64_t k = 0; k < image.channels; ++k) {
        size_t n = 0;
        for (int64_t y = r - reach; y <= r + reach; ++y)
          for (int64_t x = c - reach; x <= c + reach; ++x)
            square[n++] = image.at(std::clamp<int64_t>(y, 0, image.height - 1), std::clamp<int64_t>(x, 0, image.width - 1), k);
        std::nth_element(square.begin(), middle, square.end());
        result.at(r, c, k) = *middle;
      }
  return result;
}

}  // namespace dura
