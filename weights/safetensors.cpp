#include "weights/safetensors.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "engine/base/file.h"
#include "engine/base/parallel.h"
#include "engine/base/text.h"

namespace dura {

namespace {

constexpr uint64_t max_header_bytes = 100'000'000;
constexpr size_t max_rank_in_file = 32;

// The format writes the names of element types in capitals: F32, BOOL.
std::string format_name(ElementType type) {
  std::string name = element_name(type);
  for (char& c : name) c = static_cast<char>(c >= 'a' ? c - 'a' + 'A' : c);
  return name;
}

constexpr std::string_view field_names[] = {"dtype", "shape", "data_offsets"};

struct HeaderEntry {
  std::string name;
  std::array<bool, std::size(field_names)> given{};
  std::string dtype;
  Dimensions shape;
  int offset_count = 0;
  uint64_t begin = 0, end = 0;  // in the data that follow the header
};

// Receives the header's JSON event by event; nothing of it is kept as JSON. A document tree would keep one of two equal keys silently and
// could be made to nest deeply; here both are errors. And its destructor takes memory, so that a lack of it would end the process.
class HeaderReader : private nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}

  std::vector<HeaderEntry> entries;
  std::map<std::string, std::string> metadata;

  void read(std::string_view header) {
    nlohmann::json_sax<nlohmann::json>* const events = this;
    nlohmann::json::sax_parse(header.begin(), header.end(), events);
  }

 private:
  // Depth 1: a tensor's name, or __metadata__, and what stands under it; 2: its fields; 3: the numbers of a list.
  bool start_object(size_t) override {
    if (depth_ > 1) wrong(depth_, "an object");
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_) finish_entry();
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata_ || key_ == "dtype") wrong(depth_, "an array");
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool key(std::string& key) override {
    depth_ == 1 ? take_name(key) : in_metadata_ ? take_metadata_key(key) : take_field(key);
    return true;
  }
  bool string(std::string& text) override {
    if (depth_ != 2 || !(in_metadata_ || key_ == "dtype")) wrong(depth_, "a text");
    (in_metadata_ ? metadata[key_] : entries.back().dtype) = text;
    return true;
  }
  bool number_unsigned(uint64_t number) override {
    if (depth_ != 3) wrong(depth_, "a number");
    take_number(number);
    return true;
  }
  bool number_integer(int64_t) override { wrong(depth_, "a negative number"); }
  bool number_float(double, const std::string&) override { wrong(depth_, "a number that is not whole or too large"); }
  bool boolean(bool) override { wrong(depth_, "a boolean"); }
  bool null() override { wrong(depth_, "a null"); }
  bool binary(nlohmann::json::binary_t&) override { wrong(depth_, "bytes"); }  // JSON has none
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) override {
    if (dynamic_cast<const nlohmann::json::parse_error*>(&e))
      fail(file_, ": the header is not valid UTF-8 JSON at its byte ", position, ". The file is damaged or of another format.");
    fail(file_, ": the header holds a number that is too large to be read. The file is damaged or of another format.");
  }

  void take_name(const std::string& name) {
    in_metadata_ = name == "__metadata__";
    DURA_CHECK(names_.insert(name).second, file_, ": the header names ", quote(name), " twice. Write the file again.");
    if (!in_metadata_) entries.emplace_back().name = name;
    name_ = name;
  }
  void take_metadata_key(const std::string& key) {
    DURA_CHECK(!metadata.contains(key), file_, ": the metadata key ", quote(key), " exists twice. Write the file again.");
    key_ = key;
  }
  void take_field(const std::string& field) {
    HeaderEntry& entry = entries.back();
    const auto known = std::find(std::begin(field_names), std::end(field_names), field);
    DURA_CHECK(known != std::end(field_names), file_, ": tensor ", quote(entry.name), " has the unknown field ", quote(field),
               ". Expected dtype, shape, data_offsets.");
    bool& given = entry.given[static_cast<size_t>(known - field_names)];
    DURA_CHECK(!given, file_, ": tensor ", quote(entry.name), " has the field '", field, "' twice. Write the file again.");
    given = true;
    key_ = field;
  }
  void take_number(uint64_t number) {
    HeaderEntry& entry = entries.back();
    if (key_ == "shape") {
      DURA_CHECK(number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()), file_, ": tensor ", quote(entry.name),
                 " has a dimension of ", number, ", which no file can hold.");
      entry.shape.push_back(static_cast<int64_t>(number));
      DURA_CHECK(entry.shape.size() <= max_rank_in_file, file_, ": tensor ", quote(entry.name), " has more than ", max_rank_in_file,
                 " dimensions.");
    } else {
      DURA_CHECK(++entry.offset_count <= 2, file_, ": tensor ", quote(entry.name), " has more than two data_offsets.");
      (entry.offset_count == 1 ? entry.begin : entry.end) = number;
    }
  }
  void finish_entry() const {
    const HeaderEntry& entry = entries.back();
    for (size_t i = 0; i < entry.given.size(); ++i)
      DURA_CHECK(entry.given[i], file_, ": tensor ", quote(entry.name), " has no ", field_names[i], ". Write the file again.");
    DURA_CHECK(entry.offset_count == 2, file_, ": tensor ", quote(entry.name), " has ", entry.offset_count,
               " data_offsets, expected two (begin and end).");
  }

  [[noreturn]] void wrong(int depth, const char* found) const {
    if (depth < 2)
      fail(file_, ": the header has ", found, " under ", quote(name_), ", expected an object with dtype, shape and data_offsets.");
    if (in_metadata_) fail(file_, ": the metadata of ", quote(key_), " is ", found, ", only texts are allowed. Write numbers as texts.");
    if (key_ == "dtype") fail(file_, ": the dtype of tensor ", quote(name_), " is ", found, ", expected a text.");
    if (key_ == "shape")
      fail(file_, ": the shape of tensor ", quote(name_), " holds ", found, ", expected a list of whole numbers from 0.");
    fail(file_, ": the data_offsets of tensor ", quote(name_), " hold ", found, ", expected two whole numbers from 0.");
  }

  const std::string& file_;
  int depth_ = 0;
  std::string name_, key_;  // at depth 1 and 2
  bool in_metadata_ = false;
  std::unordered_set<std::string> names_;
};

ElementType accepted_type(const HeaderEntry& entry, const std::string& file) {
  const std::optional<ElementType> type = find_element_type(lower_case(entry.dtype));
  DURA_CHECK(type && entry.dtype == format_name(*type), file, ": tensor ", quote(entry.name), " has elements of type ", quote(entry.dtype),
             ", which dura does not read. Convert it to F32 (read are F32, F16, BF16, F64, I64, I32, U8, BOOL).");
  return *type;
}

}  // namespace

StateDict parse_safetensors(std::span<const uint8_t> bytes, std::shared_ptr<const void> owner, const std::string& file) {
  const uint64_t size = bytes.size();
  DURA_CHECK(size >= 8, file, ": has ", size, " bytes, a safetensors file has at least 8. The file is empty or truncated.");
  uint64_t header_bytes;
  std::memcpy(&header_bytes, bytes.data(), 8);
  DURA_CHECK(header_bytes <= max_header_bytes, file, ": announces a header of ", header_bytes, " bytes, at most ", max_header_bytes,
             " are allowed. This is not a safetensors file, or it is damaged.");
  DURA_CHECK(header_bytes <= size - 8, file, ": announces a header of ", header_bytes, " bytes, only ", size - 8,
             " follow. The file is truncated: copy or download it again.");
  const char* header = text_of(bytes).data() + 8;
  DURA_CHECK(header_bytes > 0 && header[0] == '{', file, ": the header does not begin with '{'. This is not a safetensors file.");
  // The JSON reader takes a zero byte for the end of the text: what follows it would go unchecked.
  DURA_CHECK(std::memchr(header, 0, header_bytes) == nullptr, file, ": the header contains a zero byte. The file is damaged.");

  HeaderReader reader(file);
  reader.read({header, header_bytes});
  std::vector<HeaderEntry>& entries = reader.entries;
  std::stable_sort(entries.begin(), entries.end(),
                   [](const HeaderEntry& a, const HeaderEntry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });

  const uint8_t* data = bytes.data() + 8 + header_bytes;
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
    state.add(entry.name, Array(entry.shape, type, {data + entry.begin, *expected}, owner));
  }
  DURA_CHECK(position == data_bytes, file, ": ", data_bytes - position,
             " bytes follow the last tensor. The file was appended to or its header is damaged.");
  return state;
}

StateDict parse_safetensors(const SharedBytes& bytes, const std::string& file) { return parse_safetensors(std::span(*bytes), bytes, file); }

StateDict read_safetensors(const std::filesystem::path& path) {
  const FileBytes file = read_file_bytes(path, max_weight_file_bytes);
  return parse_safetensors(file.span(), file.data, path.string());
}

namespace {

// Whether the f32 numbers may hold a NaN or an infinity: their exponents have all bits set. Without a branch, 25 million numbers are a
// matter of milliseconds.
bool may_be_infinite(std::span<const uint8_t> bytes) {
  constexpr uint32_t exponent = 0x7f800000u;
  uint32_t found = 0;
  for (size_t i = 0; i + sizeof(uint32_t) <= bytes.size(); i += sizeof(uint32_t)) {
    uint32_t bits;
    std::memcpy(&bits, bytes.data() + i, sizeof bits);
    found |= static_cast<uint32_t>((bits & exponent) == exponent);
  }
  return found != 0;
}

bool all_finite(const StateDict& state) {
  constexpr int64_t piece_bytes = int64_t{1} << 20;
  std::vector<std::span<const uint8_t>> pieces;
  for (const StateDict::Entry& entry : state.entries()) {
    if (!is_floating(entry.array.type())) continue;
    if (entry.array.type() != ElementType::f32) return false;  // not known
    for (std::span<const uint8_t> rest = entry.array.bytes(); !rest.empty();) {
      pieces.push_back(rest.first(std::min<size_t>(rest.size(), piece_bytes)));
      rest = rest.subspan(pieces.back().size());
    }
  }
  std::atomic<bool> finite{true};
  parallel_for(std::ssize(pieces), [&](int64_t i) {
    if (may_be_infinite(pieces[static_cast<size_t>(i)])) finite.store(false, std::memory_order_relaxed);
  });
  return finite.load();
}

}  // namespace

void require_finite(const StateDict& state, const std::string& file) {
  if (all_finite(state)) return;
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

}  // namespace dura
