// Weight files made by hand for the tests of the readers: correct ones to damage, and hostile ones that no library would write.
#pragma once
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/folders.h"
#include "tests/support/temporary_folder.h"
#include "engine/base/crc32.h"
#include "engine/base/file.h"
#include "weights/safetensors.h"
#include "weights/zip.h"

namespace dura::test {

inline SharedBytes shared(const std::string& text) { return std::make_shared<const std::vector<uint8_t>>(text.begin(), text.end()); }
inline SharedBytes shared(std::vector<uint8_t> bytes) { return std::make_shared<const std::vector<uint8_t>>(std::move(bytes)); }

template <class T>
std::string little_endian(T value) {
  std::string text(sizeof value, '\0');
  std::memcpy(text.data(), &value, sizeof value);
  return text;
}

inline std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(source_folder()) / "tests/golden/weights" / name;
}
inline std::string golden_text(const std::string& name) { return read_text_file(golden(name), 1 << 20); }

inline std::string safetensors_text(const std::string& header, const std::string& data = "") {
  return little_endian(static_cast<uint64_t>(header.size())) + header + data;
}

inline Array scalar(int64_t value) { return Array::of<int64_t>({}, ElementType::i64, {value}); }

// The bytes of the file that write_safetensors makes.
inline std::vector<uint8_t> safetensors_bytes(const StateDict& state) {
  const TemporaryFolder folder;
  write_safetensors(folder / "state.safetensors", state);
  return read_file(folder / "state.safetensors", max_weight_file_bytes);
}

struct ZipPart {
  std::string name, contents;
};

// A zip container of stored entries without Zip64 records.
inline std::string zip_text(const std::vector<ZipPart>& parts) {
  std::string body, directory;
  for (const ZipPart& part : parts) {
    const auto crc = crc32(part.contents.data(), part.contents.size());
    const auto size = static_cast<uint32_t>(part.contents.size());
    const std::string common = std::string(6, '\0') + std::string(2, '\0') + little_endian(crc) + little_endian(size) +
                               little_endian(size) + little_endian(static_cast<uint16_t>(part.name.size())) + std::string(2, '\0');
    directory += "PK\x01\x02" + std::string(4, '\0') + common + std::string(10, '\0') + little_endian(static_cast<uint32_t>(body.size())) +
                 part.name;
    body += "PK\x03\x04" + std::string(2, '\0') + common + part.name + part.contents;
  }
  const std::string count = little_endian(static_cast<uint16_t>(parts.size()));
  return body + directory + "PK\x05\x06" + std::string(4, '\0') + count + count + little_endian(static_cast<uint32_t>(directory.size())) +
         little_endian(static_cast<uint32_t>(body.size())) + std::string(2, '\0');
}

// ---- pickle operations ----
inline std::string pickled(const std::string& operations) { return "\x80\x02" + operations + "."; }
inline std::string text_op(const std::string& text) { return "X" + little_endian(static_cast<uint32_t>(text.size())) + text; }
inline std::string global_op(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
inline std::string int_op(int64_t value) { return std::string("\x8a\x08") + little_endian(value); }
inline std::string tuple_op(const std::vector<int64_t>& values) {
  std::string text = "(";
  for (int64_t value : values) text += int_op(value);
  return text + "t";
}
inline std::string storage_op(const std::string& type, const std::string& key, int64_t count) {
  return "(" + text_op("storage") + global_op("torch", type) + text_op(key) + text_op("cpu") + int_op(count) + "tQ";
}
inline std::string tensor_op(const std::string& storage, int64_t offset, const std::vector<int64_t>& sizes,
                             const std::vector<int64_t>& strides) {
  return global_op("torch._utils", "_rebuild_tensor_v2") + "(" + storage + int_op(offset) + tuple_op(sizes) + tuple_op(strides) + "\x89" +
         global_op("collections", "OrderedDict") + ")RtR";
}
// A .pth file whose data.pkl is `pickle`, with one storage "0" of these bytes.
inline std::string pth_text(const std::string& pickle, const std::string& storage = std::string(16, '\0')) {
  return zip_text({{"x/data.pkl", pickle}, {"x/byteorder", "little"}, {"x/data/0", storage}, {"x/version", "3\n"}});
}
// A state dict of the one tensor "w".
inline std::string one_tensor(const std::string& tensor) { return pickled("}(" + text_op("w") + tensor + "u"); }

}  // namespace dura::test
