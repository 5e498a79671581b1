// Pictures from and to files: PNG and JPEG in, PNG out. The only door to stb_image, which trusts its input too much to be used alone:
// bytes are probed first, sides and pixels are limited, and the decoder's memory is capped in proportion to the picture. All functions may
// be called from several threads at once. Errors name the file, what is wrong with it, and what to do.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/image/image.h"

namespace dura {

// What a file holds, from its bytes alone: the kind of picture, its size, and whether it is whole. The name's extension is never asked.
// Everything the decoder is given has passed this walk over the markers of a JPEG or the chunks of a PNG: one frame, a sane size,
// checksums right, an end.
enum class ImageFormat : uint8_t { png, jpeg };

struct ImageInfo {
  ImageFormat format = ImageFormat::png;
  int64_t width = 0, height = 0;
  int channels = 0;  // in the file: 1 gray, 2 gray and alpha, 3 colour or palette, 4 colour and alpha (PNG) or CMYK (JPEG)
  int bits = 8;      // per channel
};

// Throws Error with `name` and the reason: empty, not a picture (and what it looks like instead), an unsupported kind, damaged, cut off.
ImageInfo probe_image(std::span<const uint8_t> bytes, const std::string& name);

struct DecodeOptions {
  int64_t max_side = 8192;                 // pixels
  int64_t max_pixels = int64_t{40} << 20;  // 40 Mi: a slice has less than one
  uint64_t max_file_bytes = uint64_t{256} << 20;
};

// One channel where the file is gray, else three; an alpha channel is dropped. A PNG with 16 bits per channel is stretched from its
// smallest to its largest value over 0..255, because such slices seldom use the whole range and their high byte alone would leave few
// levels.
Image decode_image(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options = {});
Image read_image(const std::string& path, const DecodeOptions& options = {});

// One channel, 255 inside and 0 outside. Inside is what is not zero in a PNG of any depth, and at least 128 in a JPEG, whose zeros are
// noisy.
Image read_mask(const std::string& path);

std::vector<uint8_t> encode_png(const Image& image);
void write_png(const std::string& path, const Image& image);  // beside, synced, renamed

}  // namespace dura
