// The arithmetic of a JPEG decoder, as libjpeg and libjpeg-turbo do it, which decode pictures for Pillow, OpenCV and so for nearly every
// network: the same file gives the same grey levels here as where the network was trained. Decoders may differ by some levels, and those
// move probabilities in the second digit. Plugged into stb's decoder by codec.cpp.
// Invariant: bit-equal to libjpeg-turbo's default (islow, fancy upsampling) for baseline and progressive files with 4:4:4, 4:2:0 or gray.
// Any coefficients are allowed, a damaged file's, too.
#pragma once
#include <cstdint>

namespace dura::jpeg {

// Inverse DCT of 8x8 dequantised coefficients, row by row: after Loeffler, Ligtenberg, Moschytz (ICASSP 1989), 13 bits after the point, two
// more kept between columns and rows.
void inverse_dct(uint8_t* out, int out_stride, int16_t coefficients[64]);

// Twice as wide, and the output row that lies nearer to `near`: weights 9, 3, 3, 1. The two halves of a pixel round in different
// directions. `out` has 2 * width bytes and is returned. `horizontal` is what stb passes; it is 2.
uint8_t* upsample_2x2(uint8_t* out, uint8_t* near, uint8_t* far, int width, int horizontal);

// JFIF's colours, in 16-bit fixed point. `step` is the number of output channels, 3 or 4; a fourth is 255.
void ycc_to_rgb(uint8_t* out, const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int count, int step);

}  // namespace dura::jpeg
