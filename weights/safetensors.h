// The safetensors format: an 8-byte header length, a JSON header, and the elements. Format: docs/formats.md.
// Reading checks every rule of the format before an element is touched; each broken rule has a message of its own that names the file.
// Writing is deterministic: the same arrays, order and metadata give the same bytes.
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "weights/state.h"

namespace dura {

// Larger files are refused unread: the largest networks dura builds need a few hundred megabytes.
constexpr uint64_t max_weight_file_bytes = uint64_t{8} << 30;

using SharedBytes = std::shared_ptr<const std::vector<uint8_t>>;

// `file` names the source in messages. The arrays share `bytes`, which `owner` keeps alive (null: the caller does); they come in the order
// of their offsets.
StateDict parse_safetensors(std::span<const uint8_t> bytes, std::shared_ptr<const void> owner, const std::string& file);
StateDict parse_safetensors(const SharedBytes& bytes, const std::string& file);
StateDict read_safetensors(const std::filesystem::path& path);

// Throws Error naming the first array that holds a NaN or an infinity, and where.
void require_finite(const StateDict& state, const std::string& file);

// Arrays with larger elements come first, so that every element lies at a multiple of its size; otherwise the order is the state's.
// Throws Error for a name or metadata that is not UTF-8, and for what AtomicFile refuses.
void write_safetensors(const std::filesystem::path& path, const StateDict& state);

}  // namespace dura
