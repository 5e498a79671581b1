// The part of Python's pickle language that torch.save needs for a state dict, as data. Nothing can be executed, by construction: a global
// name is turned into one of the few enumerators below or refused, "calls" only combine values that are known, and there is no way to name
// anything else. Every count has a cap, so a hostile file costs no more than its own size.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/state.h"

namespace dura {

enum class PickleGlobal : uint8_t {
  ordered_dict,       // collections.OrderedDict
  rebuild_tensor,     // torch._utils._rebuild_tensor_v2
  rebuild_parameter,  // torch._utils._rebuild_parameter
  parameter,          // torch.nn.parameter.Parameter
  storage_type        // one of storage_types
};

// torch's classes of storages, and what their elements are. 8-bit signed and 16-bit integers are no weights: they have no type here, and
// their tensors are refused.
struct StorageType {
  std::string_view name;
  size_t bytes;  // of an element
  std::optional<ElementType> type;
};
inline constexpr StorageType storage_types[] = {{"FloatStorage", 4, ElementType::f32},     {"HalfStorage", 2, ElementType::f16},
                                                {"BFloat16Storage", 2, ElementType::bf16}, {"DoubleStorage", 8, ElementType::f64},
                                                {"LongStorage", 8, ElementType::i64},      {"IntStorage", 4, ElementType::i32},
                                                {"ShortStorage", 2, std::nullopt},         {"CharStorage", 1, std::nullopt},
                                                {"ByteStorage", 1, ElementType::u8},       {"BoolStorage", 1, ElementType::boolean}};

enum class PickleKind : uint8_t { none, boolean, integer, big_integer, real, text, tuple, list, dict, set, global, storage, tensor };

struct PickleValue {
  PickleKind kind = PickleKind::none;
  PickleGlobal global = PickleGlobal::ordered_dict;  // of a global
  uint8_t depth = 0;                                 // containers below this one
  int64_t integer = 0;                               // of an integer or boolean; of a storage type its place in storage_types
  double real = 0;
  std::string_view text;  // of a text (its bytes) or big_integer (little-endian two's complement); lies in the pickle's bytes
  // Positions in Pickle::values. tuple, list: the elements; dict: key, value, key, value, ...;
  // storage: type, key, number of elements; tensor: storage, offset, sizes, strides.
  std::vector<uint32_t> items;
};

// Values refer to each other by position, so shared and even circular values are harmless.
struct Pickle {
  std::vector<PickleValue> values;
  uint32_t root = 0;
  uint64_t bytes = 0;  // the pickle's own length: a legacy file holds several, one after another

  const PickleValue& operator[](uint32_t i) const { return values[i]; }
  const StorageType& type_of(const PickleValue& storage) const { return storage_types[values[storage.items[0]].integer]; }
  // The value under a text key of a dict, or null.
  const PickleValue* find(const PickleValue& dict, std::string_view key) const;
};

// Reads one pickle from the beginning of `bytes`, which must outlive it. Throws Error naming `file`, the opcode and its position.
Pickle read_pickle(std::span<const uint8_t> bytes, const std::string& file);

}  // namespace dura
