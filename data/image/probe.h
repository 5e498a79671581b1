// What a file holds, from its bytes alone: the kind of picture, its extents, and whether it is whole. The name's extension is never asked.
// Everything the decoder is given has passed this walk over the markers of a JPEG or the chunks of a PNG: one frame, sane extents,
// checksums right, an end.
#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace dura {

enum class ImageFormat : uint8_t { png, jpeg };

struct ImageInfo {
  ImageFormat format = ImageFormat::png;
  int64_t width = 0, height = 0;
  int channels = 0;  // in the file: 1 gray, 2 gray and alpha, 3 colour or palette, 4 colour and alpha (PNG) or CMYK (JPEG)
  int bits = 8;      // per channel
};

// Throws Error with `name` and the reason: empty, not a picture (and what it looks like instead), an unsupported kind, damaged, cut off.
ImageInfo probe_image(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace dura
