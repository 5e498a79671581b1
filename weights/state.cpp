#include "weights/state.h"

#include <cmath>
#include <cstring>

#include "engine/base/text.h"
#include "engine/core/formula.h"

namespace dura {

namespace {

struct Element {
  const char* name;
  size_t bytes;
  bool floating;
};
// In the order of ElementType.
constexpr Element elements[] = {{"f32", 4, true},  {"f16", 2, true},  {"bf16", 2, true}, {"f64", 8, true},
                                {"i64", 8, false}, {"i32", 4, false}, {"u8", 1, false},  {"bool", 1, false}};

const Element& element(ElementType type) { return elements[static_cast<size_t>(type)]; }

}  // namespace

size_t element_size(ElementType type) { return element(type).bytes; }
const char* element_name(ElementType type) { return element(type).name; }
bool is_floating(ElementType type) { return element(type).floating; }

std::optional<ElementType> find_element_type(std::string_view name) {
  for (size_t i = 0; i < std::size(elements); ++i)
    if (name == elements[i].name) return static_cast<ElementType>(i);
  return std::nullopt;
}

ElementType element_type(DType dtype) { return *find_element_type(dtype_name(dtype)); }

std::string describe(const Dimensions& dimensions) {
  std::string text = "(";
  for (size_t i = 0; i < dimensions.size(); ++i) text.append(i ? "," : "").append(std::to_string(dimensions[i]));
  return text.append(")");
}

std::optional<uint64_t> array_bytes(const Dimensions& dimensions, ElementType type) {
  int64_t bytes = static_cast<int64_t>(element_size(type));
  bool empty = false;
  for (int64_t extent : dimensions) {
    if (extent < 0) return std::nullopt;
    // A zero extent must not hide an overflow of the others: (2^62, 2^62, 0) is refused like (2^62, 2^62).
    if (extent == 0)
      empty = true;
    else if (__builtin_mul_overflow(bytes, extent, &bytes))
      return std::nullopt;
  }
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

std::string quote(std::string_view name, size_t longest) {
  std::string text = "'";
  for (char c : name.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f)
      text += c;
    else
      text += "\\x" + hex_digits(byte);
  }
  return text.append(name.size() > longest ? "...'" : "'");
}

Array::Array(Dimensions dimensions, ElementType type, std::span<const uint8_t> bytes, std::shared_ptr<const void> owner)
    : dimensions_(std::move(dimensions)), type_(type), bytes_(bytes), owner_(std::move(owner)) {
  const std::optional<uint64_t> expected = array_bytes(dimensions_, type_);
  DURA_CHECK(expected && *expected == bytes_.size(), "an array of ", element_name(type_), " ", dura::describe(dimensions_), " was made of ",
             bytes_.size(), " bytes");
}

namespace {

Dimensions dimensions_of(const Tensor& tensor) {
  Dimensions dimensions;
  for (int i = 0; i < tensor.shape().rank(); ++i) dimensions.push_back(tensor.shape()[i]);
  return dimensions;
}

std::span<const uint8_t> bytes_of(const Tensor& tensor) {
  DURA_CHECK(tensor.defined() && host_readable(tensor.device()), "an array can be made of a CPU tensor only, not of ", describe(tensor));
  return {static_cast<const uint8_t*>(tensor.raw()), tensor.bytes()};
}

template <class T>
T load(const uint8_t* bytes, int64_t i) {
  T v;
  std::memcpy(&v, bytes + static_cast<size_t>(i) * sizeof(T), sizeof(T));
  return v;
}

}  // namespace

Array Array::share(const Tensor& tensor) {
  return Array(dimensions_of(tensor), element_type(tensor.dtype()), bytes_of(tensor), std::make_shared<const Tensor>(tensor));
}

double Array::value(int64_t i) const {
  const uint8_t* p = bytes_.data();
  switch (type_) {
    case ElementType::f32:
      return load<float>(p, i);
    case ElementType::f16:
      return formula::from_f16(load<f16>(p, i));
    case ElementType::bf16:
      return formula::from_bf16(load<bf16>(p, i));
    case ElementType::f64:
      return load<double>(p, i);
    case ElementType::i64:
      return static_cast<double>(load<int64_t>(p, i));
    case ElementType::i32:
      return load<int32_t>(p, i);
    case ElementType::u8:
      return p[i];
    case ElementType::boolean:
      return p[i] != 0 ? 1 : 0;
  }
  fail("Array::value: no such type");
}

Tensor Array::to_tensor(DType dtype, const std::string& name) const {
  DURA_CHECK(dimensions_.size() <= Shape::max_rank, name, ": has ", dimensions_.size(), " dimensions, a tensor has at most ",
             Shape::max_rank);
  const bool same = element_type(dtype) == type_;
  const bool small_integer = type_ == ElementType::i32 || type_ == ElementType::u8 || type_ == ElementType::boolean;
  DURA_CHECK(same || (dura::is_floating(type_) ? dura::is_floating(dtype) : small_integer && !dura::is_floating(dtype)), name, ": holds ",
             element_name(type_), " elements, which do not convert to ", dtype_name(dtype));
  const auto extent = [&](size_t i) { return dimensions_[i]; };
  Shape shape;
  switch (dimensions_.size()) {
    case 0:
      break;
    case 1:
      shape = {extent(0)};
      break;
    case 2:
      shape = {extent(0), extent(1)};
      break;
    case 3:
      shape = {extent(0), extent(1), extent(2)};
      break;
    default:
      shape = {extent(0), extent(1), extent(2), extent(3)};
  }
  Tensor tensor = Tensor::empty(shape, dtype, Device::cpu, name);
  if (same) {
    if (!bytes_.empty()) std::memcpy(tensor.raw(), bytes_.data(), bytes_.size());
    return tensor;
  }
  const int64_t count = numel();
  for (int64_t i = 0; i < count; ++i) {
    const double v = value(i);
    switch (dtype) {
      case DType::f64:
        tensor.data<double>()[i] = v;
        break;
      case DType::f32:
        tensor.data<float>()[i] = static_cast<float>(v);
        break;
      // From f64 this rounds twice; the files that hold f64 are references, never the source of 16-bit weights.
      case DType::f16:
        tensor.data<f16>()[i] = formula::to_f16(static_cast<float>(v));
        break;
      case DType::bf16:
        tensor.data<bf16>()[i] = formula::to_bf16(static_cast<float>(v));
        break;
      case DType::i32:
        tensor.data<int32_t>()[i] = static_cast<int32_t>(v);
        break;
      case DType::u8:
        DURA_CHECK(v >= 0 && v <= 255, name, ": element ", i, " is ", v, ", which does not fit into u8");
        tensor.data<uint8_t>()[i] = static_cast<uint8_t>(v);
        break;
    }
  }
  return tensor;
}

bool bit_equal(const Array& a, const Array& b) {
  return a.type() == b.type() && a.dimensions() == b.dimensions() && std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin());
}

void StateDict::add(const std::string& name, Array array) {
  DURA_CHECK(index_.emplace(name, entries_.size()).second, "tensor ", quote(name), " exists twice");
  entries_.push_back({name, std::move(array)});
}

const Array* StateDict::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second].array;
}

const Array& StateDict::at(const std::string& name) const {
  const Array* array = find(name);
  DURA_CHECK(array, "there is no tensor ", quote(name), " among the ", size(), " tensors of this file");
  return *array;
}

uint64_t StateDict::bytes() const {
  uint64_t sum = 0;
  for (const Entry& entry : entries_) sum += entry.array.bytes().size();
  return sum;
}

ArrayStatistics statistics(const Array& array) {
  ArrayStatistics s;
  double sum = 0;
  for (int64_t i = 0; i < array.numel(); ++i) {
    const double v = array.value(i);
    if (std::isnan(v))
      ++s.nans;
    else if (std::isinf(v))
      ++s.infinities;
    else {
      s.min = s.finite ? std::min(s.min, v) : v;
      s.max = s.finite ? std::max(s.max, v) : v;
      sum += v;
      ++s.finite;
    }
  }
  if (s.finite) s.mean = sum / static_cast<double>(s.finite);
  return s;
}

}  // namespace dura
