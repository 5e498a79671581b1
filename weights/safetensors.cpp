#include "weights/safetensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "engine/base/file.h"

namespace dura {

namespace {

constexpr uint64_t max_header_bytes = 100'000'000;
constexpr size_t max_rank_in_file = 32;

const char* format_name(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return "F32";
    case ElementType::f16:
      return "F16";
    case ElementType::bf16:
      return "BF16";
    case ElementType::f64:
      return "F64";
    case ElementType::i64:
      return "I64";
    case ElementType::i32:
      return "I32";
    case ElementType::u8:
      return "U8";
    case ElementType::boolean:
      return "BOOL";
  }
  fail("format_name: no such type");
}

std::optional<ElementType> parse_format_name(const std::string& text) {
  for (ElementType type : {ElementType::f32, ElementType::f16, ElementType::bf16, ElementType::f64, ElementType::i64, ElementType::i32,
                           ElementType::u8, ElementType::boolean})
    if (text == format_name(type)) return type;
  return std::nullopt;
}

struct HeaderEntry {
  std::string name;
  bool has_dtype = false, has_shape = false, has_offsets = false;
  std::string dtype;
  Dimensions shape;
  int offset_count = 0;
  uint64_t begin = 0, end = 0;  // in the data that follow the header
};

// Receives the header's JSON event by event. A document tree would keep one of two equal keys silently and could be made to nest
// deeply; here both are errors, and nothing is kept but what the format knows.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}

  std::vector<HeaderEntry> entries;
  std::map<std::string, std::string> metadata;

  bool start_object(size_t) override {
    switch (place_) {
      case Place::before:
        place_ = Place::root;
        return true;
      case Place::root_value:
        place_ = in_metadata_ ? Place::metadata : Place::entry;
        if (!in_metadata_) entries.emplace_back().name = key_;
        return true;
      default:
        wrong("an object");
    }
  }
  bool end_object() override {
    switch (place_) {
      case Place::root:
        place_ = Place::after;
        break;
      case Place::entry:
        finish_entry();
        [[fallthrough]];
      default:
        place_ = Place::root;
    }
    return true;
  }
  bool key(std::string& name) override {
    if (place_ == Place::root) {
      in_metadata_ = name == "__metadata__";
      DURA_CHECK(in_metadata_ ? !seen_metadata_ : names_.emplace(name, true).second, file_, ": the header names ", quote(name),
                 " twice. Write the file again.");
      seen_metadata_ = seen_metadata_ || in_metadata_;
      place_ = Place::root_value;
    } else if (place_ == Place::metadata) {
      DURA_CHECK(!metadata.contains(name), file_, ": the metadata key ", quote(name), " exists twice. Write the file again.");
      place_ = Place::metadata_value;
    } else {
      const HeaderEntry& entry = entries.back();
      const bool twice =
          (name == "dtype" && entry.has_dtype) || (name == "shape" && entry.has_shape) || (name == "data_offsets" && entry.has_offsets);
      DURA_CHECK(!twice, file_, ": tensor ", quote(entry.name), " has the field '", name, "' twice. Write the file again.");
      if (name == "dtype")
        place_ = Place::dtype;
      else if (name == "shape")
        place_ = Place::shape;
      else if (name == "data_offsets")
        place_ = Place::offsets;
      else
        fail(file_, ": tensor ", quote(entry.name), " has the unknown field ", quote(name), ". Expected dtype, shape, data_offsets.");
    }
    key_ = name;
    return true;
  }
  bool start_array(size_t) override {
    if (place_ == Place::shape)
      place_ = Place::shape_items, entries.back().has_shape = true;
    else if (place_ == Place::offsets)
      place_ = Place::offset_items, entries.back().has_offsets = true;
    else
      wrong("an array");
    return true;
  }
  bool end_array() override {
    place_ = Place::entry;
    return true;
  }
  bool string(std::string& text) override {
    if (place_ == Place::metadata_value)
      metadata.emplace(key_, text), place_ = Place::metadata;
    else if (place_ == Place::dtype)
      entries.back().dtype = text, entries.back().has_dtype = true, place_ = Place::entry;
    else
      wrong("a text");
    return true;
  }
  bool number_unsigned(number_unsigned_t number) override {
    if (place_ == Place::shape_items) {
      DURA_CHECK(number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()), file_, ": tensor ", quote(entries.back().name),
                 " has a dimension of ", number, ", which no file can hold.");
      entries.back().shape.push_back(static_cast<int64_t>(number));
      DURA_CHECK(entries.back().shape.size() <= max_rank_in_file, file_, ": tensor ", quote(entries.back().name), " has more than ",
                 max_rank_in_file, " dimensions.");
    } else if (place_ == Place::offset_items) {
      HeaderEntry& entry = entries.back();
      DURA_CHECK(++entry.offset_count <= 2, file_, ": tensor ", quote(entry.name), " has more than two data_offsets.");
      (entry.offset_count == 1 ? entry.begin : entry.end) = number;
    } else {
      wrong("a number");
    }
    return true;
  }
  bool number_integer(number_integer_t) override { wrong("a negative number"); }
  bool number_float(number_float_t, const std::string&) override { wrong("a number that is not whole or too large"); }
  bool boolean(bool) override { wrong("a boolean"); }
  bool null() override { wrong("a null"); }
  bool binary(binary_t&) override { wrong("binary data"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail(file_, ": the header is not valid UTF-8 JSON at its byte ", position, ". The file is damaged or of another format.");
  }

 private:
  enum class Place { before, root, root_value, metadata, metadata_value, entry, dtype, shape, shape_items, offsets, offset_items, after };

  [[noreturn]] void wrong(const char* found) const {
    switch (place_) {
      case Place::metadata_value:
        fail(file_, ": the metadata of ", quote(key_), " is ", found, ", only texts are allowed. Write numbers as texts.");
      case Place::root_value:
        fail(file_, ": the header has ", found, " under ", quote(key_), ", expected an object with dtype, shape and data_offsets.");
      case Place::dtype:
        fail(file_, ": the dtype of tensor ", quote(entries.back().name), " is ", found, ", expected a text.");
      case Place::shape:
      case Place::shape_items:
        fail(file_, ": the shape of tensor ", quote(entries.back().name), " holds ", found, ", expected a list of whole numbers from 0.");
      case Place::offsets:
      case Place::offset_items:
        fail(file_, ": the data_offsets of tensor ", quote(entries.back().name), " hold ", found, ", expected two whole numbers from 0.");
      default:
        fail(file_, ": the header is ", found, ", expected an object.");
    }
  }
  void finish_entry() const {
    const HeaderEntry& entry = entries.back();
    const char* missing = !entry.has_dtype ? "dtype" : !entry.has_shape ? "shape" : !entry.has_offsets ? "data_offsets" : nullptr;
    DURA_CHECK(!missing, file_, ": tensor ", quote(entry.name), " has no ", missing, ". Write the file again.");
    DURA_CHECK(entry.offset_count == 2, file_, ": tensor ", quote(entry.name), " has ", entry.offset_count,
               " data_offsets, expected two (begin and end).");
  }

  const std::string& file_;
  Place place_ = Place::before;
  std::string key_;
  bool in_metadata_ = false, seen_metadata_ = false;
  std::unordered_map<std::string, bool> names_;
};

ElementType accepted_type(const HeaderEntry& entry, const std::string& file) {
  const std::optional<ElementType> type = parse_format_name(entry.dtype);
  DURA_CHECK(type, file, ": tensor ", quote(entry.name), " has elements of type ", quote(entry.dtype),
             ", which dura does not read. Convert it to F32 (read are F32, F16, BF16, F64, I64, I32, U8, BOOL).");
  return *type;
}

}  // namespace

StateDict parse_safetensors(const SharedBytes& bytes, const std::string& file) {
  const uint64_t size = bytes->size();
  DURA_CHECK(size >= 8, file, ": has ", size, " bytes, a safetensors file has at least 8. The file is empty or truncated.");
  uint64_t header_bytes;
  std::memcpy(&header_bytes, bytes->data(), 8);
  DURA_CHECK(header_bytes <= max_header_bytes, file, ": announces a header of ", header_bytes, " bytes, at most ", max_header_bytes,
             " are allowed. This is not a safetensors file, or it is damaged.");
  DURA_CHECK(header_bytes <= size - 8, file, ": announces a header of ", header_bytes, " bytes, only ", size - 8,
             " follow. The file is truncated: copy or download it again.");
  const char* header = reinterpret_cast<const char*>(bytes->data()) + 8;
  DURA_CHECK(header_bytes > 0 && header[0] == '{', file, ": the header does not begin with '{'. This is not a safetensors file.");
  // The JSON reader takes a zero byte for the end of the text: what follows it would go unchecked.
  DURA_CHECK(std::memchr(header, 0, header_bytes) == nullptr, file, ": the header contains a zero byte. The file is damaged.");

  HeaderReader reader(file);
  nlohmann::json::sax_parse(header, header + header_bytes, &reader);
  std::vector<HeaderEntry>& entries = reader.entries;
  std::stable_sort(entries.begin(), entries.end(),
                   [](const HeaderEntry& a, const HeaderEntry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });

  const uint8_t* data = bytes->data() + 8 + header_bytes;
  const uint64_t data_bytes = size - 8 - header_bytes;
  StateDict state;
  state.metadata() = std::move(reader.metadata);
  uint64_t position = 0;
  for (const HeaderEntry& entry : entries) {
    const ElementType type = accepted_type(entry, file);
    DURA_CHECK(entry.begin <= entry.end, file, ": the data of tensor ", quote(entry.name), " end at ", entry.end, ", before they begin at ",
               entry.begin, ". The file is damaged.");
    const std::optional<uint64_t> expected = array_bytes(entry.shape, type);
    DURA_CHECK(expected, file, ": the shape ", describe(entry.shape), " of tensor ", quote(entry.name),
               " has more elements than can be counted. The file is damaged.");
    DURA_CHECK(*expected == entry.end - entry.begin, file, ": tensor ", quote(entry.name), " of ", entry.dtype, " ", describe(entry.shape),
               " needs ", *expected, " bytes, its data_offsets give ", entry.end - entry.begin, ". The file is damaged.");
    DURA_CHECK(entry.begin >= position, file, ": the data of tensor ", quote(entry.name), " begin at ", entry.begin,
               ", inside the tensor before it, which ends at ", position, ". Overlapping tensors are not allowed.");
    DURA_CHECK(entry.begin == position, file, ": the data of tensor ", quote(entry.name), " begin at ", entry.begin,
               ", the tensor before it ends at ", position, ". Unused bytes between tensors are not allowed.");
    DURA_CHECK(entry.end <= data_bytes, file, ": the data of tensor ", quote(entry.name), " end at ", entry.end, ", the file has only ",
               data_bytes, " bytes of data. The file is truncated: copy or download it again.");
    position = entry.end;
    state.add(entry.name, Array(entry.shape, type, {data + entry.begin, *expected}, bytes));
  }
  DURA_CHECK(position == data_bytes, file, ": ", data_bytes - position,
             " bytes follow the last tensor. The file was appended to or its header is damaged.");
  return state;
}

StateDict read_safetensors(const std::filesystem::path& path) {
  return parse_safetensors(std::make_shared<const std::vector<uint8_t>>(read_file(path, max_weight_file_bytes)), path.string());
}

void require_finite(const StateDict& state, const std::string& file) {
  for (const StateDict::Entry& entry : state.entries()) {
    if (!is_floating(entry.array.type())) continue;
    for (int64_t i = 0; i < entry.array.numel(); ++i)
      DURA_CHECK(std::isfinite(entry.array.value(i)), file, ": tensor ", quote(entry.name), " holds ", entry.array.value(i), " at element ",
                 i, ". Weights must be finite: the training that wrote it diverged, or the file is damaged.");
  }
}

namespace {

std::string json_text(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    fail("the text ", quote(text), " is not UTF-8 and cannot be stored in a safetensors file");
  }
}

std::vector<const StateDict::Entry*> writing_order(const StateDict& state) {
  std::vector<const StateDict::Entry*> order;
  for (const StateDict::Entry& entry : state.entries()) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](const StateDict::Entry* a, const StateDict::Entry* b) {
    return element_size(a->array.type()) > element_size(b->array.type());
  });
  return order;
}

// The header's length and the header, padded with spaces so that the data begin at a multiple of 8.
std::string header_text(const StateDict& state, const std::vector<const StateDict::Entry*>& order) {
  std::string json = "{";
  const char* separator = "";
  if (!state.metadata().empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : state.metadata()) {
      json.append(separator).append(json_text(key)).append(":").append(json_text(value));
      separator = ",";
    }
    json += "}";
  }
  uint64_t position = 0;
  for (const StateDict::Entry* entry : order) {
    DURA_CHECK(entry->name != "__metadata__", "a tensor cannot be named '__metadata__' in a safetensors file");
    const uint64_t end = position + entry->array.bytes().size();
    std::string shape;
    for (int64_t extent : entry->array.dimensions()) shape.append(shape.empty() ? "" : ",").append(std::to_string(extent));
    json += concat(separator, json_text(entry->name), ":{\"dtype\":\"", format_name(entry->array.type()), "\",\"shape\":[", shape,
                   "],\"data_offsets\":[", position, ",", end, "]}");
    separator = ",";
    position = end;
  }
  json += "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  DURA_CHECK(json.size() <= max_header_bytes, "names and metadata take ", json.size(), " bytes, a safetensors header holds at most ",
             max_header_bytes);
  const uint64_t length = json.size();
  std::string text(8, '\0');
  std::memcpy(text.data(), &length, 8);
  return text + json;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const StateDict& state) {
  const std::vector<const StateDict::Entry*> order = writing_order(state);
  AtomicFile file(path);
  file.write(header_text(state, order));
  for (const StateDict::Entry* entry : order) file.write(entry->array.bytes());
  file.commit();
}

std::vector<uint8_t> safetensors_bytes(const StateDict& state) {
  const std::vector<const StateDict::Entry*> order = writing_order(state);
  const std::string header = header_text(state, order);
  std::vector<uint8_t> bytes(header.begin(), header.end());
  for (const StateDict::Entry* entry : order) bytes.insert(bytes.end(), entry->array.bytes().begin(), entry->array.bytes().end());
  return bytes;
}

}  // namespace dura
