#include "data/image/codec.h"

#include <algorithm>
#include <string_view>

#include "engine/base/crc32.h"
#include "engine/base/text.h"

namespace dura {
namespace {

using Bytes = std::span<const uint8_t>;

constexpr std::string_view png_signature("\x89PNG\r\n\x1a\n", 8);
constexpr std::string_view jpeg_signature("\xff\xd8\xff", 3);

uint32_t big_endian16(Bytes bytes, size_t at) { return static_cast<uint32_t>(bytes[at] << 8 | bytes[at + 1]); }
uint32_t big_endian32(Bytes bytes, size_t at) { return big_endian16(bytes, at) << 16 | big_endian16(bytes, at + 2); }

// For the message only: the kinds of file that people hand over by mistake.
const char* looks_like(Bytes bytes) {
  struct Kind {
    std::string_view signature;
    size_t at;
    const char* name;
  };
  static constexpr Kind kinds[] = {{"GIF8", 0, "a GIF"},
                                   {"BM", 0, "a BMP"},
                                   {{"II*\0", 4}, 0, "a TIFF"},
                                   {{"MM\0*", 4}, 0, "a TIFF"},
                                   {"WEBP", 8, "a WebP"},
                                   {"DICM", 128, "a DICOM file"},
                                   {"\x1f\x8b", 0, "a gzip archive (NIfTI?)"},
                                   {{"PK\x03\x04", 4}, 0, "a ZIP archive"},
                                   {"\x89HDF", 0, "an HDF5 file (MATLAB v7.3?)"},
                                   {"MATLAB", 0, "a MATLAB file"},
                                   {"%PDF", 0, "a PDF"},
                                   {"version https://git-lfs", 0, "a Git LFS pointer, not the picture itself"},
                                   {"<", 0, "a web page or XML"}};
  for (const Kind& kind : kinds)
    if (bytes.size() >= kind.at && text_of(bytes).substr(kind.at).starts_with(kind.signature)) return kind.name;
  return "no kind of picture";
}

ImageInfo probe_png(Bytes bytes, const std::string& name) {
  ImageInfo info{.format = ImageFormat::png};
  bool has_data = false;
  for (size_t at = png_signature.size();;) {
    DURA_CHECK(at + 12 <= bytes.size(), name, ": the PNG is cut off after ", bytes.size(),
               " bytes, its end (IEND) is missing. Copy the file again.");
    const size_t length = big_endian32(bytes, at);
    const std::string_view type = text_of(bytes.subspan(at + 4, 4));
    DURA_CHECK(length <= bytes.size() - at - 12, name, ": the PNG is cut off after ", bytes.size(), " bytes, inside of a chunk of ", length,
               " bytes. Copy the file again.");
    // Chunks with a lower-case first letter (text, dates) do not touch the pixels; the decoder passes over them.
    const bool critical = !(bytes[at + 4] & 0x20u);
    DURA_CHECK(!critical || crc32(&bytes[at + 4], length + 4) == big_endian32(bytes, at + 8 + length), name,
               ": the PNG is damaged, the checksum of the chunk at byte ", at, " does not match. Copy the file again.");
    if (info.width == 0) {
      DURA_CHECK(type == "IHDR" && length == 13, name, ": the PNG is damaged, it does not begin with its header (IHDR)");
      info.width = big_endian32(bytes, at + 8);
      info.height = big_endian32(bytes, at + 12);
      info.bits = bytes[at + 16];
      const int color = bytes[at + 17];
      info.channels = color == 0 ? 1 : color == 4 ? 2 : color == 6 ? 4 : 3;
      DURA_CHECK(info.width > 0 && info.height > 0, name, ": the PNG has the impossible size ", info.width, "x", info.height);
    } else {
      DURA_CHECK(type != "IHDR", name, ": the PNG is damaged, it has two headers");
    }
    has_data = has_data || type == "IDAT";
    if (type == "IEND") break;
    at += length + 12;
  }
  DURA_CHECK(has_data, name, ": the PNG has no pixel data");
  return info;
}

// The frame header (SOF): precision, height, width, components with their sampling factors.
void read_jpeg_frame(Bytes segment, uint8_t marker, const std::string& name, ImageInfo& info) {
  DURA_CHECK(marker <= 0xC2, name,
             ": this JPEG is lossless, hierarchical or arithmetic-coded, dura reads baseline and progressive ones. Convert it to PNG.");
  DURA_CHECK(info.width == 0, name, ": the JPEG is damaged, it has two frames");
  DURA_CHECK(segment.size() >= 6, name, ": the JPEG is damaged, its frame header is too short");
  info.bits = segment[0];
  info.height = big_endian16(segment, 1);
  info.width = big_endian16(segment, 3);
  info.channels = segment[5];
  DURA_CHECK(info.bits == 8, name, ": this JPEG has ", info.bits, " bits per channel, dura reads 8. Convert it to PNG.");
  DURA_CHECK(info.width > 0 && info.height > 0, name, ": the JPEG has the impossible size ", info.width, "x", info.height);
  DURA_CHECK(info.channels == 1 || info.channels == 3 || info.channels == 4, name, ": the JPEG has ", info.channels,
             " components, expected 1, 3 or 4");
  DURA_CHECK(segment.size() == 6 + 3 * static_cast<size_t>(info.channels), name,
             ": the JPEG is damaged, its frame header has a wrong length");
  int largest_h = 1, largest_v = 1;
  for (int pass = 0; pass < 2; ++pass)
    for (int c = 0; c < info.channels; ++c) {
      const int h = segment[7 + 3 * c] >> 4, v = segment[7 + 3 * c] & 15;
      DURA_CHECK(h >= 1 && h <= 4 && v >= 1 && v <= 4, name, ": the JPEG is damaged, a component is sampled ", h, "x", v,
                 ", expected 1 to 4");
      largest_h = std::max(largest_h, h), largest_v = std::max(largest_v, v);
      // A ratio that is no whole number made stb_image 2.27 write past its buffer (CVE-2021-37789); no encoder in use produces one.
      DURA_CHECK(pass == 0 || (largest_h % h == 0 && largest_v % v == 0), name,
                 ": the JPEG is damaged, its components are sampled in a fractional ratio");
    }
}

// The Huffman tables of one segment (DHT): class and number, how many codes of each length from 1 to 16, their values. stb_image 2.27
// writes past its tables when there are more than 256 codes, and reads past others when a DC value, which is a number of bits, is above 15.
void check_huffman_tables(Bytes segment, const std::string& name) {
  while (!segment.empty()) {
    DURA_CHECK(segment.size() >= 17, name, ": the JPEG is damaged, a Huffman table is cut short");
    const bool dc = segment[0] >> 4 == 0;
    size_t codes = 0;
    for (size_t i = 1; i <= 16; ++i) codes += segment[i];
    DURA_CHECK(codes <= 256 && codes <= segment.size() - 17, name, ": the JPEG is damaged, a Huffman table has ", codes, " codes");
    const Bytes values = segment.subspan(17, codes);
    DURA_CHECK(!dc || std::all_of(values.begin(), values.end(), [](uint8_t v) { return v <= 15; }), name,
               ": the JPEG is damaged, a Huffman table has a value out of range");
    segment = segment.subspan(17 + codes);
  }
}

ImageInfo probe_jpeg(Bytes bytes, const std::string& name) {
  ImageInfo info{.format = ImageFormat::jpeg};
  bool has_data = false;
  const auto cut_off = [&] {
    fail(name, ": the JPEG is cut off after ", bytes.size(), " bytes, its end marker is missing. Copy the file again.");
  };
  size_t at = 2;
  for (;;) {
    // Between segments only fill bytes (0xFF) are allowed, but some writers leave others: search, as the decoder does.
    while (at < bytes.size() && bytes[at] != 0xFF) ++at;
    while (at < bytes.size() && bytes[at] == 0xFF) ++at;
    if (at >= bytes.size()) cut_off();
    const uint8_t marker = bytes[at++];
    if (marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) continue;  // stuffed byte, TEM, restarts: no length follows
    if (marker == 0xD9) break;
    DURA_CHECK(marker != 0xD8, name, ": the JPEG is damaged, a second picture begins inside of it");
    if (at + 2 > bytes.size()) cut_off();
    const size_t length = big_endian16(bytes, at);
    DURA_CHECK(length >= 2, name, ": the JPEG is damaged, a segment at byte ", at, " has length ", length);
    if (at + length > bytes.size()) cut_off();
    const Bytes segment = bytes.subspan(at + 2, length - 2);
    const bool frame = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    if (frame) read_jpeg_frame(segment, marker, name, info);
    if (marker == 0xC4) check_huffman_tables(segment, name);
    if (marker == 0xDA) {
      DURA_CHECK(info.width > 0, name, ": the JPEG is damaged, pixel data come before the frame header");
      has_data = true;
    }
    at += length;
  }
  DURA_CHECK(info.width > 0 && has_data, name, ": the JPEG has no pixel data");
  return info;
}

}  // namespace

ImageInfo probe_image(Bytes bytes, const std::string& name) {
  DURA_CHECK(!bytes.empty(), name, ": the file is empty (0 bytes). Copy it again.");
  if (text_of(bytes).starts_with(png_signature)) return probe_png(bytes, name);
  if (text_of(bytes).starts_with(jpeg_signature)) return probe_jpeg(bytes, name);
  fail(name, ": not a PNG or JPEG (", bytes.size(), " bytes that look like ", looks_like(bytes),
       "). dura reads PNG and JPEG, whatever the file is called.");
}

}  // namespace dura
