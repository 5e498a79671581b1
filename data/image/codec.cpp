#include "data/image/codec.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "data/image/jpeg_kernels.h"
#include "engine/base/file.h"

namespace dura {
namespace {

// The decoder's memory. A file of a few bytes can ask for gigabytes; every block is charged to the picture being decoded on this thread.
thread_local size_t decoder_budget = 0;

struct alignas(16) DecoderBlock {
  size_t bytes;
};

void* decoder_allocate(size_t bytes) {
  if (bytes > decoder_budget) return nullptr;
  // Zeroed: a damaged file can make the decoder use tables that it never read, and must give the same picture or error every time.
  void* memory = std::calloc(1, sizeof(DecoderBlock) + bytes);
  if (!memory) return nullptr;
  decoder_budget -= bytes;
  return new (memory) DecoderBlock{bytes} + 1;
}

void decoder_free(void* p) {
  if (!p) return;
  DecoderBlock* block = static_cast<DecoderBlock*>(p) - 1;
  decoder_budget += block->bytes;
  std::free(block);
}

void* decoder_reallocate(void* p, size_t bytes) {
  void* grown = decoder_allocate(bytes);
  if (!grown) return nullptr;  // as realloc: the old block stays
  if (p) std::memcpy(grown, p, std::min(bytes, (static_cast<DecoderBlock*>(p) - 1)->bytes));
  decoder_free(p);
  return grown;
}

}  // namespace
}  // namespace dura

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 8192
#define STBI_MALLOC(bytes) dura::decoder_allocate(bytes)
#define STBI_REALLOC(p, bytes) dura::decoder_reallocate(p, bytes)
#define STBI_FREE(p) dura::decoder_free(p)
#include <stb_image.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>

namespace dura {
namespace {

template <class T>
struct DecoderMemory {
  void operator()(T* p) const { decoder_free(p); }
};

// The bytes of a JPEG on their way to stb's decoder. Where a marker ends a segment of coded pixels in the middle of a coefficient, stb
// would count more bits as taken than it has, and then shift by more than a number is wide. So it never reads such a marker: it is told of
// it, and gets zeros for whatever it still wants of the segment, as libjpeg's decoder does.
class JpegBytes {
 public:
  // `decoder` is zeroed, and set up but for its context.
  JpegBytes(std::span<const uint8_t> bytes, stbi__jpeg& decoder) : bytes_(bytes), decoder_(decoder) {
    decoder_.nomore = 1;
    decoder_.marker = STBI__MARKER_none;
  }

  static int read(void* self, char* out, int size) { return static_cast<JpegBytes*>(self)->next(reinterpret_cast<uint8_t*>(out), size); }
  static void skip(void* self, int count) {
    JpegBytes& s = *static_cast<JpegBytes*>(self);
    s.at_ = std::min(s.at_ + static_cast<size_t>(count), s.bytes_.size());
  }
  // Asked after the last pixel of a scan, while stb searches for the next marker, and never within a scan.
  static int eof(void* self) {
    JpegBytes& s = *static_cast<JpegBytes*>(self);
    s.decoder_.nomore = 1;
    return s.at_ == s.bytes_.size();
  }

  // Whether pixels were decoded from bits that the file does not have. Before a restart some of the zeros that were read ahead are unseen.
  bool cut_short() const { return cut_short_ || decoder_.code_bits < 8 * zeros_; }

 private:
  int next(uint8_t* out, int size) {
    if (zeros_ > 0) {
      const bool within = decoder_.marker != STBI__MARKER_none;
      if (within || !STBI__RESTART(last_)) cut_short_ = cut_short();
      if (within) return zero(out);
      // stb has taken the marker: a restart, with which it sets nomore to 0, or the end of the scan.
      if (!STBI__RESTART(last_)) decoder_.nomore = 1;
      zeros_ = 0;
    }
    const bool coded = decoder_.nomore == 0;                    // stb sets it to 0 before each segment of coded pixels
    const size_t most = coded ? static_cast<size_t>(size) : 1;  // of what lies between such segments nothing is read ahead
    size_t count = 0;
    for (; count < most && at_ < bytes_.size() && !(coded && is_marker()); ++count) out[count] = bytes_[at_++];
    if (count > 0 || at_ == bytes_.size()) return static_cast<int>(count);
    while (bytes_[at_] == 0xFF) ++at_;
    decoder_.marker = last_ = bytes_[at_++];
    return zero(out);
  }

  int zero(uint8_t* out) {
    *out = 0, ++zeros_;
    return 1;
  }

  // Whether 0xFF stands here and, behind any number of them, neither the zero that makes data of it nor the end.
  bool is_marker() const {
    size_t i = at_;
    while (i < bytes_.size() && bytes_[i] == 0xFF) ++i;
    return i > at_ && i < bytes_.size() && bytes_[i] != 0;
  }

  std::span<const uint8_t> bytes_;
  stbi__jpeg& decoder_;
  size_t at_ = 0;
  uint8_t last_ = 0;  // the last marker that ended a segment
  int zeros_ = 0;     // bytes given in place of what lies behind it
  bool cut_short_ = false;
};

// stb's decoder with libjpeg's arithmetic in the places that stb keeps for such. Null, and stb's reason, where it cannot be decoded.
uint8_t* load_jpeg(std::span<const uint8_t> bytes, int* width, int* height, int* stored, int channels) {
  const std::unique_ptr<stbi__jpeg, DecoderMemory<stbi__jpeg>> decoder(static_cast<stbi__jpeg*>(stbi__malloc(sizeof(stbi__jpeg))));
  if (!decoder) return stbi__errpuc("outofmem", "Out of memory");
  stbi__setup_jpeg(decoder.get());
  decoder->idct_block_kernel = jpeg::inverse_dct;
  decoder->YCbCr_to_RGB_kernel = jpeg::ycc_to_rgb;
  decoder->resample_row_hv_2_kernel = jpeg::upsample_2x2;
  JpegBytes source(bytes, *decoder);
  stbi_io_callbacks callbacks = {JpegBytes::read, JpegBytes::skip, JpegBytes::eof};
  stbi__context context;
  stbi__start_callbacks(&context, &callbacks, &source);
  decoder->s = &context;
  uint8_t* pixels = load_jpeg_image(decoder.get(), width, height, stored, channels);
  if (!pixels || !source.cut_short()) return pixels;
  decoder_free(pixels);
  return stbi__errpuc("pixel data end early", "Corrupt JPEG");
}

// Largest need: a 16-bit colour PNG with alpha takes 8 bytes per pixel filtered (in a block grown by doubling), unfiltered and converted.
void grant_memory(const ImageInfo& info) { decoder_budget = (size_t{64} << 20) + 64 * static_cast<size_t>(info.width * info.height); }

template <class T>
std::unique_ptr<T[], DecoderMemory<T>> decode(std::span<const uint8_t> bytes, const std::string& name, const ImageInfo& info,
                                              int channels) {
  grant_memory(info);
  const int length = static_cast<int>(bytes.size());
  int width = 0, height = 0, stored = 0;
  T* pixels = nullptr;
  if constexpr (sizeof(T) == 2)
    pixels = stbi_load_16_from_memory(bytes.data(), length, &width, &height, &stored, channels);
  else if (info.format == ImageFormat::jpeg)
    pixels = load_jpeg(bytes, &width, &height, &stored, channels);
  else
    pixels = stbi_load_from_memory(bytes.data(), length, &width, &height, &stored, channels);
  DURA_CHECK(pixels, name, ": the ", info.format == ImageFormat::png ? "PNG" : "JPEG", " cannot be decoded (", stbi_failure_reason(),
             "). It is damaged or of an unusual kind.");
  std::unique_ptr<T[], DecoderMemory<T>> owner(pixels);
  DURA_CHECK(width == info.width && height == info.height, name, ": the decoder found ", width, "x", height, " pixels, the header says ",
             info.width, "x", info.height);
  return owner;
}

ImageInfo check_limits(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
  DURA_CHECK(bytes.size() <= options.max_file_bytes, name, ": the file has ", bytes.size(), " bytes, at most ", options.max_file_bytes,
             " are read");
  const ImageInfo info = probe_image(bytes, name);
  const double megapixels = static_cast<double>(info.width) * static_cast<double>(info.height) * 1e-6;
  DURA_CHECK(info.width <= options.max_side && info.height <= options.max_side && info.width * info.height <= options.max_pixels, name,
             ": ", info.width, "x", info.height, " is ", megapixels, " megapixels, too large for a slice: at most ", options.max_side,
             " a side and ", static_cast<double>(options.max_pixels) * 1e-6, " megapixels are read. Shrink it first.");
  grant_memory(info);  // reading a JPEG's header allocates, too
  int width = 0, height = 0, channels = 0;
  DURA_CHECK(stbi_info_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &channels) && width == info.width &&
                 height == info.height,
             name, ": the decoder does not agree with the header's ", info.width, "x", info.height, " pixels. The file is damaged.");
  return info;
}

Image stretch_to_8_bits(const uint16_t* values, Image image) {
  const auto [low, high] = std::minmax_element(values, values + image.pixels.size());
  const uint32_t offset = *low, range = std::max(1u, static_cast<uint32_t>(*high) - offset);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<uint8_t>(((values[i] - offset) * 255u + range / 2) / range);
  return image;
}

void append_bytes(void* context, void* data, int size) {
  auto* out = static_cast<std::vector<uint8_t>*>(context);
  const auto* bytes = static_cast<const uint8_t*>(data);
  out->insert(out->end(), bytes, bytes + size);
}

}  // namespace

Image decode_image(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
  const ImageInfo info = check_limits(bytes, name, options);
  Image image(info.height, info.width, info.channels <= 2 ? 1 : 3);
  const int channels = static_cast<int>(image.channels);
  if (info.bits == 16) return stretch_to_8_bits(decode<uint16_t>(bytes, name, info, channels).get(), std::move(image));
  const auto pixels = decode<uint8_t>(bytes, name, info, channels);
  std::copy_n(pixels.get(), image.pixels.size(), image.pixels.begin());
  return image;
}

Image read_image(const std::string& path, const DecodeOptions& options) {
  return decode_image(read_file(path, options.max_file_bytes), path, options);
}

Image read_mask(const std::string& path) {
  const std::vector<uint8_t> bytes = read_file(path, DecodeOptions{}.max_file_bytes);
  const ImageInfo info = check_limits(bytes, path, {});
  Image mask(info.height, info.width, 1);
  const auto fill = [&](const auto* values, int channels, int threshold) {
    for (size_t i = 0; i < mask.pixels.size(); ++i)
      mask.pixels[i] = std::any_of(values + i * channels, values + (i + 1) * channels, [&](auto v) { return v >= threshold; }) ? 255 : 0;
  };
  const int channels = info.channels <= 2 ? 1 : 3;
  if (info.bits == 16)
    fill(decode<uint16_t>(bytes, path, info, channels).get(), channels, 1);
  else
    fill(decode<uint8_t>(bytes, path, info, channels).get(), channels, info.format == ImageFormat::png ? 1 : 128);
  return mask;
}

std::vector<uint8_t> encode_png(const Image& image) {
  DURA_CHECK(!image.empty(), "encode_png: the image is empty");
  std::vector<uint8_t> out;
  const int width = static_cast<int>(image.width), height = static_cast<int>(image.height), channels = static_cast<int>(image.channels);
  DURA_CHECK(stbi_write_png_to_func(append_bytes, &out, width, height, channels, image.pixels.data(), width * channels), "encode_png: a ",
             width, "x", height, " image could not be encoded: out of memory");
  return out;
}

void write_png(const std::string& path, const Image& image) { write_file_atomically(path, encode_png(image)); }

}  // namespace dura
