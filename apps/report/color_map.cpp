#include "apps/report/color_map.h"

#include <algorithm>
#include <cmath>

#include "apps/report/pixel_text.h"

namespace dura {

namespace {

uint8_t ramp(double t, double center) {
  return static_cast<uint8_t>(std::lround(255 * std::clamp(1.5 - std::abs(4 * t - center), 0.0, 1.0)));
}

}  // namespace

Color jet(double t) {
  t = std::isnan(t) ? 0 : std::clamp(t, 0.0, 1.0);
  return {ramp(t, 3), ramp(t, 2), ramp(t, 1)};
}

Image color_bar(int64_t height) {
  constexpr int64_t margin = 4, bar = 12;
  Image out(height, pixel_text_width("HIGH") + 2 * margin, 3, 255);
  const int64_t top = margin + pixel_text_height + margin, bottom = height - top;
  if (bottom <= top) return out;  // too low for a scale: an empty strip
  const int64_t left = (out.width - bar) / 2;
  for (int64_t y = top; y < bottom; ++y) {
    const Color c = jet(1 - static_cast<double>(y - top) / static_cast<double>(std::max<int64_t>(bottom - top - 1, 1)));
    for (int64_t x = left; x < left + bar; ++x) {
      out.at(y, x, 0) = c.red;
      out.at(y, x, 1) = c.green;
      out.at(y, x, 2) = c.blue;
    }
  }
  draw_text(out, margin, margin, "HIGH", {});
  draw_text(out, height - margin - pixel_text_height, (out.width - pixel_text_width("LOW")) / 2, "LOW", {});
  return out;
}

}  // namespace dura
