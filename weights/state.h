// What a weight file holds: arrays under names, in order, and text. Files know element types and ranks that a Tensor does not
// (64-bit counters, booleans, any rank), so an Array stands between the two.
// Invariant: an Array's byte count is the product of its dimensions times its element size, checked where it is made; its elements may
// lie at any address (files do not align them), so they are read through memcpy only.
#pragma once
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/core/tensor.h"

namespace dura {

static_assert(std::endian::native == std::endian::little, "weight files are little-endian and their bytes are used as they are");

enum class ElementType : uint8_t { f32, f16, bf16, f64, i64, i32, u8, boolean };

size_t element_size(ElementType type);       // bytes
const char* element_name(ElementType type);  // "f32", ..., "bool"
bool is_floating(ElementType type);
std::optional<ElementType> find_element_type(std::string_view name);  // by element_name
ElementType element_type(DType dtype);

using Dimensions = std::vector<int64_t>;  // outermost first; empty for a scalar
inline Dimensions dimensions_of(const Shape& shape) { return {shape.sizes().begin(), shape.sizes().end()}; }

std::string describe(const Dimensions& dimensions);  // "(64,3,7,7)"
// The number of bytes, or nothing when a dimension is negative or the product does not fit into 63 bits.
std::optional<uint64_t> array_bytes(const Dimensions& dimensions, ElementType type);
// A name from a file for a message: in quotes, control characters escaped, cut after `longest` bytes.
std::string quote(std::string_view name, size_t longest = 160);

// Constant elements in C order. Copies share the bytes.
class Array {
 public:
  Array() = default;  // a rank-1 f32 array without elements
  // Bytes that `owner` keeps alive and unchanged. Throws Error when their number does not fit the dimensions.
  Array(Dimensions dimensions, ElementType type, std::span<const uint8_t> bytes, std::shared_ptr<const void> owner);

  // The bytes of a CPU tensor without a copy: later writes into the tensor show. For writing a file at once.
  static Array share(const Tensor& tensor);
  template <class T>
  static Array of(Dimensions dimensions, ElementType type, const std::vector<T>& values) {
    auto owner = std::make_shared<const std::vector<T>>(values);
    return Array(std::move(dimensions), type, std::span(reinterpret_cast<const uint8_t*>(owner->data()), owner->size() * sizeof(T)), owner);
  }

  const Dimensions& dimensions() const { return dimensions_; }
  ElementType type() const { return type_; }
  int64_t numel() const { return static_cast<int64_t>(bytes_.size() / element_size(type_)); }
  std::span<const uint8_t> bytes() const { return bytes_; }

  // Element i as a number: exact for all types but i64 beyond 2^53. No check of the index.
  double value(int64_t i) const;

  // A new CPU tensor of this type. Floating elements go to any floating type (rounded to nearest even), i32, u8 and bool to i32 or u8
  // where the values fit, all others to their own type only. Throws Error: rank above 4, a type that does not convert, a value that does
  // not fit. `name` names the array in messages.
  Tensor to_tensor(DType dtype, const std::string& name) const;

 private:
  Dimensions dimensions_{0};
  ElementType type_ = ElementType::f32;
  std::span<const uint8_t> bytes_;
  std::shared_ptr<const void> owner_;
};

// True when type, dimensions and every byte agree (so NaN equals itself, and -0 differs from 0).
bool bit_equal(const Array& a, const Array& b);

// Arrays under unique names, in order of insertion, and text under keys.
class StateDict {
 public:
  struct Entry {
    std::string name;
    Array array;
  };

  void add(const std::string& name, Array array);    // throws Error when there is such a name already
  const Array* find(const std::string& name) const;  // null when there is none
  const Array& at(const std::string& name) const;    // throws Error when there is none
  bool contains(const std::string& name) const { return find(name) != nullptr; }
  const std::vector<Entry>& entries() const { return entries_; }
  size_t size() const { return entries_.size(); }
  uint64_t bytes() const;  // of all arrays

  std::map<std::string, std::string>& metadata() { return metadata_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
};

struct ArrayStatistics {
  double min = 0, max = 0, mean = 0;  // of the finite elements; 0 when there are none
  int64_t finite = 0, nans = 0, infinities = 0;
};
ArrayStatistics statistics(const Array& array);

}  // namespace dura
