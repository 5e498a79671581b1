#include "data/image/jpeg_kernels.h"

#include <algorithm>

namespace dura::jpeg {
namespace {

constexpr int point = 13, between = 2;  // bits after the point; bits kept between the passes

// Sums of damaged coefficients do not fit into 32 bits.
using Wide = int64_t;

constexpr Wide fixed(double value) { return static_cast<Wide>(value * (1 << point) + 0.5); }

uint8_t clamped(Wide value) { return static_cast<uint8_t>(std::clamp<Wide>(value, 0, 255)); }

// One dimension: x[0], x[step], ... -> the same places, divided by 2^shift and rounded.
void inverse_dct_8(Wide* x, int step, int shift) {
  const auto in = [&](int i) { return x[i * step]; };
  // Even part: a rotation by pi/8 of coefficients 2 and 6, sums and differences of 0 and 4.
  const Wide rotated = (in(2) + in(6)) * fixed(0.541196100);
  const Wide low = rotated - in(6) * fixed(1.847759065), high = rotated + in(2) * fixed(0.765366865);
  const Wide sum = (in(0) + in(4)) * (1 << point), difference = (in(0) - in(4)) * (1 << point);
  const Wide even[4] = {sum + high, difference + low, difference - low, sum - high};
  // Odd part.
  const Wide z5 = (in(7) + in(3) + in(5) + in(1)) * fixed(1.175875602);
  const Wide z1 = -(in(7) + in(1)) * fixed(0.899976223), z2 = -(in(5) + in(3)) * fixed(2.562915447);
  const Wide z3 = z5 - (in(7) + in(3)) * fixed(1.961570560), z4 = z5 - (in(5) + in(1)) * fixed(0.390180644);
  const Wide odd[4] = {in(1) * fixed(1.501321110) + z1 + z4, in(3) * fixed(3.072711026) + z2 + z3, in(5) * fixed(2.053119869) + z2 + z4,
                       in(7) * fixed(0.298631336) + z1 + z3};
  const Wide half = Wide{1} << (shift - 1);
  for (int i = 0; i < 4; ++i) {
    x[i * step] = (even[i] + odd[i] + half) >> shift;
    x[(7 - i) * step] = (even[i] - odd[i] + half) >> shift;
  }
}

}  // namespace

void inverse_dct(uint8_t* out, int out_stride, int16_t coefficients[64]) {
  Wide x[64];
  std::copy_n(coefficients, 64, x);
  for (int column = 0; column < 8; ++column) inverse_dct_8(x + column, 8, point - between);
  for (int row = 0; row < 8; ++row) {
    inverse_dct_8(x + 8 * row, 1, point + between + 3);
    for (int i = 0; i < 8; ++i) out[row * out_stride + i] = clamped(x[8 * row + i] + 128);
  }
}

uint8_t* upsample_2x2(uint8_t* out, uint8_t* near, uint8_t* far, int width, int) {
  if (width <= 2) {  // too narrow for the filter
    for (int i = 0; i < width; ++i) out[2 * i] = out[2 * i + 1] = near[i];
    return out;
  }
  const auto column = [&](int i) { return 3 * near[i] + far[i]; };
  for (int i = 0; i < width; ++i) {
    const int here = column(i), before = i > 0 ? column(i - 1) : here, behind = i + 1 < width ? column(i + 1) : here;
    out[2 * i] = static_cast<uint8_t>((3 * here + before + 8) >> 4);
    out[2 * i + 1] = static_cast<uint8_t>((3 * here + behind + 7) >> 4);
  }
  return out;
}

void ycc_to_rgb(uint8_t* out, const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int count, int step) {
  constexpr auto factor = [](double value) { return static_cast<int>(value * 65536 + 0.5); };
  constexpr int half = 1 << 15;
  for (int i = 0; i < count; ++i, out += step) {
    const int blue = cb[i] - 128, red = cr[i] - 128;
    out[0] = clamped(y[i] + ((factor(1.40200) * red + half) >> 16));
    out[1] = clamped(y[i] + ((half - factor(0.34414) * blue - factor(0.71414) * red) >> 16));
    out[2] = clamped(y[i] + ((factor(1.77200) * blue + half) >> 16));
    if (step == 4) out[3] = 255;
  }
}

}  // namespace dura::jpeg
