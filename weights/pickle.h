// The part of Python's pickle language that torch.save needs for a state dict, as data. Nothing can be executed, by construction: a global
// name is turned into one of the few enumerators below or refused, "calls" only combine values that are known, and there is no way to name
// anything else. Every count has a cap, so a hostile file costs no more than its own size.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dura {

enum class PickleGlobal : uint8_t {
  ordered_dict,       // collections.OrderedDict
  rebuild_tensor,     // torch._utils._rebuild_tensor_v2
  rebuild_parameter,  // torch._utils._rebuild_parameter
  parameter,          // torch.nn.parameter.Parameter
  float_storage,
  half_storage,
  bfloat16_storage,
  double_storage,
  long_storage,
  int_storage,
  short_storage,
  char_storage,
  byte_storage,
  bool_storage
};

enum class PickleKind : uint8_t { none, boolean, integer, big_integer, real, text, tuple, list, dict, set, global, storage, tensor };

struct PickleValue {
  PickleKind kind = PickleKind::none;
  PickleGlobal global = PickleGlobal::ordered_dict;  // of a global
  uint8_t depth = 0;                                 // containers below this one
  int64_t integer = 0;                               // of an integer or boolean
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
  // The value under a text key of a dict, or null.
  const PickleValue* find(const PickleValue& dict, std::string_view key) const;
};

// Reads one pickle from the beginning of `bytes`, which must outlive it. Throws Error naming `file`, the opcode and its position.
Pickle read_pickle(std::span<const uint8_t> bytes, const std::string& file);

}  // namespace dura
