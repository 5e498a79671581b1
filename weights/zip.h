// The zip container of a .pth file, read only (APPNOTE 6.3, the part that torch.save writes: stored entries, Zip64 records, data
// descriptors). Everything is checked before a byte is handed out: bounds, overlaps, both copies of every header, CRC-32. Nothing is ever
// unpacked, so a small file cannot become a large one.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dura {

struct ZipEntry {
  std::string_view name;  // lies in the container's bytes, like the contents
  std::span<const uint8_t> contents;
};

// All entries in the order of the directory. Throws Error naming `file` and the entry; `bytes` must outlive the result.
std::vector<ZipEntry> read_zip(std::span<const uint8_t> bytes, const std::string& file);

}  // namespace dura
