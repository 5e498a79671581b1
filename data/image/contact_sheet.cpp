#include "data/image/contact_sheet.h"

#include <algorithm>

namespace dura {

Image contact_sheet(const std::vector<Image>& pictures, int64_t columns, int64_t gap) {
  DURA_CHECK(!pictures.empty() && columns > 0 && gap >= 0, "a contact sheet needs pictures and at least one column");
  const int64_t height = pictures[0].height, width = pictures[0].width, count = static_cast<int64_t>(pictures.size());
  const bool color = std::any_of(pictures.begin(), pictures.end(), [](const Image& p) { return p.channels == 3; });
  const int64_t rows = (count + columns - 1) / columns;
  Image sheet(rows * (height + gap) - gap, columns * (width + gap) - gap, color ? 3 : 1);
  for (int64_t i = 0; i < count; ++i) {
    const Image& original = pictures[static_cast<size_t>(i)];
    DURA_CHECK(original.height == height && original.width == width, "picture ", i, " of a contact sheet is ", original.height, "x",
               original.width, ", the first is ", height, "x", width, ". Resize them first");
    const Image picture = color ? to_rgb(original) : original;
    for (int64_t r = 0; r < height; ++r)
      std::copy_n(picture.row(r), width * picture.channels,
                  sheet.row(i / columns * (height + gap) + r) + i % columns * (width + gap) * sheet.channels);
  }
  return sheet;
}

Image outlined(const Image& picture, const Image& mask) {
  DURA_CHECK(picture.height == mask.height && picture.width == mask.width && mask.channels == 1, "a mask of ", mask.height, "x", mask.width,
             " with ", mask.channels, " channels does not fit a picture of ", picture.height, "x", picture.width);
  const auto inside = [&](int64_t r, int64_t c) { return r >= 0 && c >= 0 && r < mask.height && c < mask.width && mask.at(r, c) != 0; };
  Image result = to_rgb(picture);
  for (int64_t r = 0; r < mask.height; ++r)
    for (int64_t c = 0; c < mask.width; ++c)
      if (inside(r, c) && !(inside(r - 1, c) && inside(r + 1, c) && inside(r, c - 1) && inside(r, c + 1)))
        result.at(r, c, 0) = 255, result.at(r, c, 1) = 220, result.at(r, c, 2) = 0;
  return result;
}

}  // namespace dura
