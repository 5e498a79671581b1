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
  DType dtype = DType::u8;  // of a tensor that holds such elements; i64 and bool have none
};
// In the order of ElementType.
constexpr Element elements[] = {{"f32", 4, true, DType::f32},
                                {"f16", 2, true, DType::f16},
                                {"bf16", 2, true, DType::bf16},
                                {"f64", 8, true, DType::f64},
                                {"i64", 8, false},
                                {"i32", 4, false, DType::i32},
                                {"u8", 1, false, DType::u8},
                                {"bool", 1, false}};

const Element& element(ElementType type) { return elements[static_cast<size_t>(type)]; }

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
  for (int64_t size : dimensions) {
    if (size < 0) return std::nullopt;
    // A size of zero must not hide an overflow of the others: (2^62, 2^62, 0) is refused like (2^62, 2^62).
    if (size == 0)
      empty = true;
    else if (__builtin_mul_overflow(bytes, size, &bytes))
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

Array Array::share(const Tensor& tensor) {
  return Array(dimensions_of(tensor.shape()), element_type(tensor.dtype()), bytes_of(tensor), std::make_shared<const Tensor>(tensor));
}

double Array::value(int64_t i) const {
  const uint8_t* p = bytes_.data();
  if (type_ == ElementType::i64) return static_cast<double>(load<int64_t>(p, i));
  if (type_ == ElementType::boolean) return p[i] != 0 ? 1 : 0;
  return with_type(element(type_).dtype, [&]<class T>(T) { return static_cast<double>(formula::loaded(load<T>(p, i))); });
}

Tensor Array::to_tensor(DType dtype, const std::string& name) const {
  DURA_CHECK(dimensions_.size() <= Shape::max_rank, name, ": has ", dimensions_.size(), " dimensions, a tensor has at most ",
             Shape::max_rank);
  const bool same = element_type(dtype) == type_;
  const bool small_integer = type_ == ElementType::i32 || type_ == ElementType::u8 || type_ == ElementType::boolean;
  DURA_CHECK(same || (dura::is_floating(type_) ? dura::is_floating(dtype) : small_integer && !dura::is_floating(dtype)), name, ": holds ",
             element_name(type_), " elements, which do not convert to ", dtype_name(dtype));
  Tensor tensor = Tensor::empty(Shape(dimensions_), dtype, Device::cpu, name);
  if (same) {
    if (!bytes_.empty()) std::memcpy(tensor.raw(), bytes_.data(), bytes_.size());
    return tensor;
  }
  with_type(dtype, [&]<class T>(T) {
    for (int64_t i = 0, count = numel(); i < count; ++i) {
      const double v = value(i);
      if constexpr (std::is_same_v<T, uint8_t>)
        DURA_CHECK(v >= 0 && v <= 255, name, ": element ", i, " is ", v, ", which does not fit into u8");
      // From f64 to 16 bits this rounds twice; the files that hold f64 are references, never the source of 16-bit weights.
      tensor.data<T>()[i] = formula::stored<T>(v);
    }
  });
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
