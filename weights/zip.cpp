#include "weights/zip.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "engine/base/crc32.h"
#include "engine/base/text.h"
#include "weights/state.h"

namespace dura {

namespace {

constexpr uint32_t local_header_signature = 0x04034b50, directory_signature = 0x02014b50, end_signature = 0x06054b50;
constexpr uint32_t zip64_end_signature = 0x06064b50, zip64_locator_signature = 0x07064b50;
constexpr uint64_t local_header_bytes = 30, directory_header_bytes = 46, end_bytes = 22, zip64_end_bytes = 56, zip64_locator_bytes = 20;
constexpr uint64_t max_entries = 1'000'000;
constexpr uint16_t flag_encrypted = 1 << 0, flag_data_descriptor = 1 << 3, flag_strong_encryption = 1 << 6;

// Little-endian numbers at checked positions.
class Bytes {
 public:
  Bytes(std::span<const uint8_t> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  uint64_t size() const { return bytes_.size(); }
  std::span<const uint8_t> range(uint64_t at, uint64_t count, const char* what) const {
    DURA_CHECK(at <= size() && count <= size() - at, file_, ": ", what, " lies outside of the file (", count, " bytes at ", at, " of ",
               size(), "). The file is truncated or damaged: copy or download it again.");
    return bytes_.subspan(at, count);
  }
  template <class T>
  T number(uint64_t at, const char* what) const {
    T value;
    std::memcpy(&value, range(at, sizeof value, what).data(), sizeof value);
    return value;
  }
  std::string_view text(uint64_t at, uint64_t count, const char* what) const { return text_of(range(at, count, what)); }

 private:
  std::span<const uint8_t> bytes_;
  const std::string& file_;
};

struct Directory {
  uint64_t entries = 0, bytes = 0, offset = 0;
};

std::optional<uint64_t> find_end_record(const Bytes& zip) {
  // The record is last in the file, but for a comment of at most 65535 bytes whose length it holds.
  if (zip.size() < end_bytes) return std::nullopt;
  const uint64_t last = zip.size() - end_bytes;
  for (uint64_t comment = 0; comment <= std::min<uint64_t>(last, 0xffff); ++comment) {
    const uint64_t at = last - comment;
    if (zip.number<uint32_t>(at, "the end record") == end_signature && zip.number<uint16_t>(at + 20, "the end record") == comment)
      return at;
  }
  return std::nullopt;
}

Directory read_end_records(const Bytes& zip, const std::string& file) {
  const std::optional<uint64_t> found = find_end_record(zip);
  DURA_CHECK(found, file, ": has no end record of a zip container. The file is truncated: copy or download it again.");
  const uint64_t end = *found;
  const char* what = "the end record";
  Directory directory{zip.number<uint16_t>(end + 10, what), zip.number<uint32_t>(end + 12, what), zip.number<uint32_t>(end + 16, what)};
  const bool one_disk = zip.number<uint16_t>(end + 4, what) == 0 && zip.number<uint16_t>(end + 6, what) == 0 &&
                        zip.number<uint16_t>(end + 8, what) == directory.entries;
  DURA_CHECK(one_disk, file, ": is one part of a zip container of several files, which is not supported. Join the parts.");
  uint64_t directory_end = end;
  if (end >= zip64_locator_bytes && zip.number<uint32_t>(end - zip64_locator_bytes, what) == zip64_locator_signature) {
    const char* what64 = "the Zip64 end record";
    directory_end = zip.number<uint64_t>(end - zip64_locator_bytes + 8, what64);
    DURA_CHECK(zip.number<uint32_t>(directory_end, what64) == zip64_end_signature, file, ": has no Zip64 end record at byte ",
               directory_end, ", where its locator points. The file is damaged.");
    const uint64_t record = zip.number<uint64_t>(directory_end + 4, what64);
    DURA_CHECK(record >= zip64_end_bytes - 12 && record < zip.size() && directory_end + 12 + record == end - zip64_locator_bytes, file,
               ": has a Zip64 end record of the wrong length. The file is damaged.");
    const Directory wide{zip.number<uint64_t>(directory_end + 32, what64), zip.number<uint64_t>(directory_end + 40, what64),
                         zip.number<uint64_t>(directory_end + 48, what64)};
    // Programs that read only one of the two records must see the same directory.
    const bool agree = (directory.entries == 0xffff || directory.entries == wide.entries) &&
                       (directory.bytes == 0xffffffff || directory.bytes == wide.bytes) &&
                       (directory.offset == 0xffffffff || directory.offset == wide.offset);
    DURA_CHECK(agree, file, ": its two zip end records disagree. The file is damaged.");
    directory = wide;
  }
  DURA_CHECK(directory.offset <= directory_end && directory.bytes == directory_end - directory.offset, file, ": its zip directory (",
             directory.bytes, " bytes at ", directory.offset, ") does not end where the end record begins (", directory_end,
             "). The file is damaged, or something was put before or after it.");
  DURA_CHECK(directory.entries <= max_entries, file, ": has ", directory.entries, " zip entries, at most ", max_entries, " are allowed.");
  return directory;
}

// One entry of the directory, and where its parts lie.
struct Entry {
  std::string_view name;
  uint16_t flags = 0;
  uint32_t crc = 0;
  uint64_t packed = 0, size = 0, header = 0;  // bytes, bytes, offset of the local header
  uint64_t data = 0, end = 0;                 // offset of the contents, and of what follows them
};

// The 64-bit values of the extra field replace those of the header that are 0xffffffff, in this order.
void apply_zip64_extra(const Bytes& zip, const std::string& file, uint64_t at, uint64_t bytes, Entry& entry) {
  const char* what = "the extra field of a zip entry";
  const uint64_t end = at + bytes;
  while (end - at >= 4) {
    const uint16_t id = zip.number<uint16_t>(at, what), length = zip.number<uint16_t>(at + 2, what);
    at += 4;
    DURA_CHECK(length <= end - at, file, ": zip entry ", quote(entry.name), " has a damaged extra field.");
    if (id == 1) {
      const uint64_t field_end = at + length;
      for (uint64_t* value : {&entry.size, &entry.packed, &entry.header}) {
        if (*value != 0xffffffff) continue;
        DURA_CHECK(field_end - at >= 8, file, ": zip entry ", quote(entry.name), " has a damaged Zip64 field.");
        *value = zip.number<uint64_t>(at, what);
        at += 8;
      }
      return;
    }
    at += length;
  }
}

Entry read_directory_entry(const Bytes& zip, const std::string& file, uint64_t& at) {
  const char* what = "the zip directory";
  DURA_CHECK(zip.number<uint32_t>(at, what) == directory_signature, file, ": the zip directory is damaged at byte ", at, ".");
  Entry entry;
  entry.flags = zip.number<uint16_t>(at + 8, what);
  const uint16_t method = zip.number<uint16_t>(at + 10, what);
  entry.crc = zip.number<uint32_t>(at + 16, what);
  entry.packed = zip.number<uint32_t>(at + 20, what);
  entry.size = zip.number<uint32_t>(at + 24, what);
  const uint16_t name_bytes = zip.number<uint16_t>(at + 28, what), extra_bytes = zip.number<uint16_t>(at + 30, what),
                 comment_bytes = zip.number<uint16_t>(at + 32, what), disk = zip.number<uint16_t>(at + 34, what);
  entry.header = zip.number<uint32_t>(at + 42, what);
  entry.name = zip.text(at + directory_header_bytes, name_bytes, what);
  zip.range(at + directory_header_bytes, uint64_t{name_bytes} + extra_bytes + comment_bytes, what);
  apply_zip64_extra(zip, file, at + directory_header_bytes + name_bytes, extra_bytes, entry);
  DURA_CHECK(!entry.name.empty() && entry.name.find('\0') == std::string_view::npos, file, ": a zip entry has the name ", quote(entry.name),
             ", which is not allowed.");
  DURA_CHECK((entry.flags & (flag_encrypted | flag_strong_encryption)) == 0, file, ": zip entry ", quote(entry.name),
             " is encrypted. Save the weights again without a password.");
  DURA_CHECK(method == 0, file, ": zip entry ", quote(entry.name), " is compressed (method ", method,
             "). torch.save never compresses: save the weights again with it.");
  DURA_CHECK(entry.packed == entry.size, file, ": zip entry ", quote(entry.name), " is stored but has two sizes, ", entry.packed, " and ",
             entry.size, ". The file is damaged.");
  DURA_CHECK(disk == 0, file, ": zip entry ", quote(entry.name), " lies in another part of the container, which is not supported.");
  at += directory_header_bytes + name_bytes + extra_bytes + comment_bytes;
  return entry;
}

// The local header must say what the directory says: two programs that trust one each would read different files.
void check_local_header(const Bytes& zip, const std::string& file, Entry& entry) {
  const std::string what_text = "the local header of zip entry " + quote(entry.name);
  const char* what = what_text.c_str();
  const uint64_t at = entry.header;
  DURA_CHECK(zip.number<uint32_t>(at, what) == local_header_signature, file, ": there is no header at byte ", at, " for zip entry ",
             quote(entry.name), ". The file is damaged.");
  const uint16_t flags = zip.number<uint16_t>(at + 6, what), method = zip.number<uint16_t>(at + 8, what),
                 name_bytes = zip.number<uint16_t>(at + 26, what), extra_bytes = zip.number<uint16_t>(at + 28, what);
  const uint32_t crc = zip.number<uint32_t>(at + 14, what);
  Entry local = entry;
  local.packed = zip.number<uint32_t>(at + 18, what);
  local.size = zip.number<uint32_t>(at + 22, what);
  local.header = 0;
  const bool same_name = zip.text(at + local_header_bytes, name_bytes, what) == entry.name;
  entry.data = at + local_header_bytes + name_bytes + extra_bytes;
  zip.range(at + local_header_bytes, uint64_t{name_bytes} + extra_bytes, what);
  apply_zip64_extra(zip, file, at + local_header_bytes + name_bytes, extra_bytes, local);
  // With a data descriptor the local header may leave sizes and CRC as zero: then they follow the contents and the directory counts.
  const bool deferred = (flags & flag_data_descriptor) != 0 && crc == 0 && local.packed == 0 && local.size == 0;
  DURA_CHECK(same_name && flags == entry.flags && method == 0 &&
                 (deferred || (crc == entry.crc && local.packed == entry.size && local.size == entry.size)),
             file, ": zip entry ", quote(entry.name), " has a local header that contradicts the directory. The file is damaged.");
  zip.range(entry.data, entry.size, what);
  entry.end = entry.data + entry.size;
}

}  // namespace

std::vector<ZipEntry> read_zip(std::span<const uint8_t> bytes, const std::string& file) {
  const Bytes zip(bytes, file);
  const Directory directory = read_end_records(zip, file);
  // Each entry takes at least a header, so a hostile count cannot make us reserve more than the file's own size allows.
  DURA_CHECK(directory.entries <= directory.bytes / directory_header_bytes, file, ": announces ", directory.entries,
             " zip entries, more than its directory can hold. The file is damaged.");
  std::vector<Entry> entries;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    entries.push_back(read_directory_entry(zip, file, at));
    check_local_header(zip, file, entries.back());
  }
  DURA_CHECK(at == directory.offset + directory.bytes, file, ": the zip directory holds more than its ", directory.entries,
             " entries. The file is damaged.");

  std::vector<const Entry*> sorted;
  for (const Entry& entry : entries) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const Entry* a, const Entry* b) { return a->header < b->header; });
  uint64_t position = 0;
  for (const Entry* entry : sorted) {
    DURA_CHECK(entry->header >= position, file, ": zip entry ", quote(entry->name),
               " overlaps the entry before it. The file is damaged or hostile.");
    position = entry->end;
  }
  DURA_CHECK(position <= directory.offset, file, ": the last zip entry reaches into the directory. The file is damaged or hostile.");
  std::sort(sorted.begin(), sorted.end(), [](const Entry* a, const Entry* b) { return a->name < b->name; });
  for (size_t i = 1; i < sorted.size(); ++i)
    DURA_CHECK(sorted[i - 1]->name != sorted[i]->name, file, ": zip entry ", quote(sorted[i]->name),
               " exists twice. The file is damaged or hostile.");

  std::vector<ZipEntry> result;
  for (const Entry& entry : entries) {
    const std::span<const uint8_t> contents = bytes.subspan(entry.data, entry.size);
    DURA_CHECK(crc32(contents.data(), contents.size()) == entry.crc, file, ": zip entry ", quote(entry.name),
               " does not have the CRC-32 that the file says. The file is damaged: copy or download it again.");
    result.push_back({entry.name, contents});
  }
  return result;
}

}  // namespace dura
