#include "data/image/color_map.h"

#include <algorithm>

#include "data/image/pixel_text.h"
#include "engine/core/formula.h"

namespace dura {

Color jet(double t) { return {formula::jet(t, 0), formula::jet(t, 1), formula::jet(t, 2)}; }

Image color_bar(int64_t height) {
  constexpr int64_t margin = 4, bar = 12;
  Image out(height, pixel_text_width("HIGH") + 2 * margin, 3, 255);
  const int64_t top = margin + pixel_text_height + margin, bottom = height - top;
  if (bottom <= top) return out;  // too low for a scale: an empty strip
  const int64_t left = (out.width - bar) / 2;
  for (int64_t y = top; y < bottom; ++y) {
    const Color c = jet(1 - static_cast<double>(y - top) / static_cast<double>(std::max<int64_t>(bottom - top - 1, 1)));
    for (int64_t x = left; x < left + bar; ++x) put(out, y, x, c);
  }
  draw_text(out, margin, margin, "HIGH", {});
  draw_text(out, height - margin - pixel_text_height, (out.width - pixel_text_width("LOW")) / 2, "LOW", {});
  return out;
}

}  // namespace dura
