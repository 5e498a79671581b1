#include "weights/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/base/text.h"
#include "weights/pickle_opcodes.h"

namespace dura {

namespace {

constexpr uint64_t max_opcodes = 1'000'000, max_memo = 1'000'000;
constexpr size_t max_depth = 64, max_text_bytes = 4096;

struct KnownGlobal {
  std::string_view module, name;
  PickleGlobal global;
};
constexpr KnownGlobal known_globals[] = {
    {"collections", "OrderedDict", PickleGlobal::ordered_dict},
    {"torch._utils", "_rebuild_tensor_v2", PickleGlobal::rebuild_tensor},
    {"torch._utils", "_rebuild_parameter", PickleGlobal::rebuild_parameter},
    {"torch.nn.parameter", "Parameter", PickleGlobal::parameter},
};

class Machine {
 public:
  Machine(std::span<const uint8_t> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Pickle run() {
    for (uint64_t count = 1;; ++count) {
      opcode_at_ = at_;
      if (count > max_opcodes) refuse("more than ", max_opcodes, " operations");
      const uint8_t opcode = number<uint8_t>();
      if (count == 1 && opcode != pickle::PROTO) refuse("no PROTO at the beginning: this is not a pickle");
      if (opcode == pickle::STOP) break;
      execute(opcode);
    }
    if (stack_.size() != 1 || !marks_.empty()) refuse("STOP with ", stack_.size(), " values left, expected one");
    result_.root = stack_.back();
    result_.bytes = at_;
    return std::move(result_);
  }

 private:
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(file_, ": the pickled data at byte ", opcode_at_, " have ", parts...,
         ". The file is damaged, hostile, or not a plain state dict; "
         "in Python, save one with torch.save(model.state_dict(), path).");
  }

  // ---- input ----
  std::span<const uint8_t> take(uint64_t count) {
    if (count > bytes_.size() - at_) refuse("an operation that is cut off by the end of the data");
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view text(uint64_t count) {
    if (count > max_text_bytes) refuse("a text of ", count, " bytes, at most ", max_text_bytes, " are allowed");
    return text_of(take(count));
  }
  std::string_view line() {
    const std::span<const uint8_t> rest = bytes_.subspan(at_, std::min<uint64_t>(bytes_.size() - at_, max_text_bytes));
    const auto end = std::find(rest.begin(), rest.end(), '\n');
    if (end == rest.end()) refuse("a name without an end");
    const std::string_view found = text(static_cast<uint64_t>(end - rest.begin()));
    take(1);
    return found;
  }

  // ---- stack ----
  uint32_t pop() {
    if (stack_.size() <= floor()) refuse("an operation that needs a value where there is none");
    const uint32_t top = stack_.back();
    stack_.pop_back();
    return top;
  }
  PickleValue& top() {
    if (stack_.size() <= floor()) refuse("an operation that needs a value where there is none");
    return value(stack_.back());
  }
  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) refuse("an operation that needs a MARK where there is none");
    std::vector<uint32_t> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleValue& value(uint32_t i) { return result_.values[i]; }
  const PickleValue& value(uint32_t i) const { return result_.values[i]; }

  PickleValue& push(PickleKind kind) {
    stack_.push_back(static_cast<uint32_t>(result_.values.size()));
    result_.values.emplace_back().kind = kind;
    return result_.values.back();
  }
  void push_plain(PickleKind kind, int64_t truth = 0) { push(kind).integer = truth; }
  void push_integer(int64_t number) { push(PickleKind::integer).integer = number; }
  void push_global(PickleGlobal global, int64_t place = 0) {
    PickleValue& made = push(PickleKind::global);
    made.global = global, made.integer = place;
  }
  void push_text(std::string_view content) { push(PickleKind::text).text = content; }
  void push_with_items(PickleKind kind, std::vector<uint32_t> items) {
    PickleValue& made = push(kind);
    extend(made, items);
  }
  void extend(PickleValue& container, const std::vector<uint32_t>& items) {
    for (uint32_t item : items) {
      const size_t depth = size_t{1} + value(item).depth;
      if (depth > max_depth) refuse("containers nested deeper than ", max_depth);
      container.depth = std::max(container.depth, static_cast<uint8_t>(depth));
      container.items.push_back(item);
    }
  }
  void push_tuple_of(size_t count) {
    std::vector<uint32_t> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push_with_items(PickleKind::tuple, std::move(items));
  }

  // ---- operations ----
  void execute(uint8_t opcode) {
    using namespace pickle;
    switch (opcode) {
      case PROTO: {
        const int version = number<uint8_t>();
        if (opcode_at_ != 0 || version != 2) refuse("pickle protocol ", version, " where protocol 2 was expected");
        break;
      }
      case NONE:
        return push_plain(PickleKind::none);
      case NEWTRUE:
        return push_plain(PickleKind::boolean, 1);
      case NEWFALSE:
        return push_plain(PickleKind::boolean, 0);
      case BININT:
        return push_integer(number<int32_t>());
      case BININT1:
        return push_integer(number<uint8_t>());
      case BININT2:
        return push_integer(number<uint16_t>());
      case LONG1:
        return long_integer();
      case BINFLOAT:
        return big_endian_float();
      case BINUNICODE:
        return push_text(text(number<uint32_t>()));
      case SHORT_BINSTRING:
        return push_text(text(number<uint8_t>()));
      case EMPTY_TUPLE:
        return push_plain(PickleKind::tuple);
      case EMPTY_LIST:
        return push_plain(PickleKind::list);
      case EMPTY_DICT:
        return push_plain(PickleKind::dict);
      case EMPTY_SET:
        return push_plain(PickleKind::set);
      case TUPLE1:
      case TUPLE2:
      case TUPLE3:
        return push_tuple_of(size_t{1} + opcode - TUPLE1);
      case TUPLE:
        return push_with_items(PickleKind::tuple, pop_to_mark());
      case MARK:
        if (marks_.size() >= max_depth) refuse("MARKs nested deeper than ", max_depth);
        marks_.push_back(stack_.size());
        break;
      case APPEND:
        return append({pop()});
      case APPENDS:
        return append(pop_to_mark());
      case SETITEM: {
        const uint32_t item = pop(), key = pop();
        return set_items({key, item});
      }
      case SETITEMS:
        return set_items(pop_to_mark());
      case BINGET:
        return recall(number<uint8_t>());
      case LONG_BINGET:
        return recall(number<uint32_t>());
      case BINPUT:
        return memorise(number<uint8_t>());
      case LONG_BINPUT:
        return memorise(number<uint32_t>());
      case GLOBAL:
        return global();
      case REDUCE:
        return call("REDUCE");
      case NEWOBJ:
        return call("NEWOBJ");
      case BINPERSID:
        return storage();
      case BUILD: {
        // The attributes of an OrderedDict: a state dict carries the versions of its modules there. They change nothing.
        pop();
        if (top().kind != PickleKind::dict) refuse("a BUILD of something that is not a dict");
        break;
      }
      default:
        refuse("the operation ", pickle::refused_name(opcode), ", which a state dict does not need and dura refuses");
    }
  }

  void long_integer() {
    const std::string_view digits = text(number<uint8_t>());
    if (digits.size() > 16) refuse("a number of ", digits.size(), " bytes");
    if (digits.size() > 8) {
      push(PickleKind::big_integer).text = digits;
      return;
    }
    uint64_t bits = !digits.empty() && (static_cast<uint8_t>(digits.back()) & 0x80u) ? ~uint64_t{0} : 0;
    for (size_t i = digits.size(); i-- > 0;) bits = (bits << 8) | static_cast<uint8_t>(digits[i]);
    push_integer(static_cast<int64_t>(bits));
  }

  void big_endian_float() {
    uint64_t bits = 0;
    for (uint8_t byte : take(8)) bits = (bits << 8) | byte;
    push(PickleKind::real).real = std::bit_cast<double>(bits);
  }

  void append(const std::vector<uint32_t>& items) {
    if (top().kind != PickleKind::list) refuse("an APPEND to something that is not a list");
    extend(top(), items);
  }
  void set_items(const std::vector<uint32_t>& items) {
    if (top().kind != PickleKind::dict) refuse("a SETITEM of something that is not a dict");
    if (items.size() % 2 != 0) refuse("a SETITEMS with a key that has no value");
    extend(top(), items);
  }

  void memorise(uint32_t slot) {
    if (slot >= max_memo) refuse("memo number ", slot, ", at most ", max_memo - 1, " is allowed");
    top();
    if (slot >= memo_.size()) memo_.resize(slot + 1, unset);
    memo_[slot] = stack_.back();
  }
  void recall(uint32_t slot) {
    if (slot >= memo_.size() || memo_[slot] == unset) refuse("memo number ", slot, ", which was never stored");
    stack_.push_back(memo_[slot]);
  }

  void global() {
    const std::string_view module = line(), name = line();
    for (const KnownGlobal& known : known_globals)
      if (module == known.module && name == known.name) return push_global(known.global);
    for (size_t i = 0; i < std::size(storage_types); ++i)
      if (module == "torch" && name == storage_types[i].name) return push_global(PickleGlobal::storage_type, static_cast<int64_t>(i));
    refuse("the Python object ", quote(std::string(module) + "." + std::string(name)),
           ", which dura refuses: it reads tensors and never runs code");
  }

  // Only the few combinations that a state dict needs; there is nothing here that could call anything.
  void call(const char* opcode) {
    const uint32_t arguments_at = pop(), callee_at = pop();
    const PickleValue &arguments = value(arguments_at), &callee = value(callee_at);
    if (callee.kind != PickleKind::global) refuse("a ", opcode, " of something that is not a known function");
    if (arguments.kind != PickleKind::tuple) refuse("a ", opcode, " without a tuple of arguments");
    const std::vector<uint32_t> given = arguments.items;
    switch (callee.global) {
      case PickleGlobal::ordered_dict:
        if (!given.empty()) refuse("an OrderedDict that is made with arguments");
        push(PickleKind::dict);
        return;
      case PickleGlobal::rebuild_tensor: {
        // (storage, offset, size, stride, requires_grad, backward_hooks[, metadata])
        if (given.size() != 6 && given.size() != 7) refuse("a tensor made of ", given.size(), " arguments, expected 6 or 7");
        const bool kinds = value(given[0]).kind == PickleKind::storage && is_size(given[1]) && is_sizes(given[2]) && is_sizes(given[3]);
        if (!kinds || value(given[2]).items.size() != value(given[3]).items.size()) refuse("a tensor with arguments of the wrong kind");
        push_with_items(PickleKind::tensor, {given.begin(), given.begin() + 4});
        return;
      }
      case PickleGlobal::rebuild_parameter:
      case PickleGlobal::parameter:
        // (tensor, requires_grad[, backward_hooks]): a parameter is its tensor.
        if (given.empty() || given.size() > 3 || value(given[0]).kind != PickleKind::tensor)
          refuse("a parameter that is not made of a tensor");
        stack_.push_back(given[0]);
        return;
      default:
        refuse("a ", opcode, " of a storage type");
    }
  }
  bool is_size(uint32_t i) const { return value(i).kind == PickleKind::integer && value(i).integer >= 0; }
  bool is_sizes(uint32_t i) const {
    const PickleValue& sizes = value(i);
    return sizes.kind == PickleKind::tuple &&
           std::all_of(sizes.items.begin(), sizes.items.end(), [&](uint32_t item) { return is_size(item); });
  }

  // ('storage', type, key, location, number of elements[, view]): the only thing that may be referred to outside of the pickle.
  void storage() {
    const uint32_t id_at = pop();
    const PickleValue& id = value(id_at);
    const bool counted = id.kind == PickleKind::tuple && (id.items.size() == 5 || id.items.size() == 6);
    if (!counted || value(id.items[0]).kind != PickleKind::text || value(id.items[0]).text != "storage")
      refuse("a reference to something that is not a storage");
    const PickleValue& type = value(id.items[1]);
    if (type.kind != PickleKind::global || type.global != PickleGlobal::storage_type)
      refuse("a storage of a type that is not a storage type");
    if (value(id.items[2]).kind != PickleKind::text || !is_size(id.items[4])) refuse("a storage without a key and a number of elements");
    if (id.items.size() == 6 && value(id.items[5]).kind != PickleKind::none)
      refuse("a storage that is a view of another, as versions of torch before 0.4 wrote");
    push_with_items(PickleKind::storage, {id.items[1], id.items[2], id.items[4]});
  }

  static constexpr uint32_t unset = UINT32_MAX;

  std::span<const uint8_t> bytes_;
  const std::string& file_;
  uint64_t at_ = 0, opcode_at_ = 0;
  std::vector<uint32_t> stack_, memo_;
  std::vector<size_t> marks_;
  Pickle result_;
};

}  // namespace

const PickleValue* Pickle::find(const PickleValue& dict, std::string_view key) const {
  if (dict.kind != PickleKind::dict) return nullptr;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2)
    if (values[dict.items[i]].kind == PickleKind::text && values[dict.items[i]].text == key) return &values[dict.items[i + 1]];
  return nullptr;
}

Pickle read_pickle(std::span<const uint8_t> bytes, const std::string& file) { return Machine(bytes, file).run(); }

}  // namespace dura
