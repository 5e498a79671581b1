#include <cstring>

#include "weights/torch_container.h"

namespace dura {

namespace {

// 0x1950a86a20f9469cfc6c, the number that begins every file of this kind, as the pickle stores it.
constexpr std::string_view magic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t protocol = 1001;

class Reader {
 public:
  Reader(std::span<const uint8_t> bytes, const std::string& file) : rest_(bytes), file_(file) {}

  Pickle pickle() {
    Pickle pickle = read_pickle(rest_, file_);
    rest_ = rest_.subspan(pickle.bytes);
    return pickle;
  }
  std::span<const uint8_t> take(uint64_t count, std::string_view key) {
    DURA_CHECK(count <= rest_.size(), file_, ": the contents of storage ", quote(key),
               " are cut off. The file is truncated: copy or download it again.");
    const std::span<const uint8_t> taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  size_t left() const { return rest_.size(); }

 private:
  std::span<const uint8_t> rest_;
  const std::string& file_;
};

}  // namespace

TorchContainer read_torch_legacy(std::span<const uint8_t> bytes, const std::string& file) {
  Reader reader(bytes, file);
  const Pickle first = reader.pickle();
  DURA_CHECK(first[first.root].kind == PickleKind::big_integer && first[first.root].text == magic, file,
             ": is a pickle but was not written by torch.save. In Python, save the weights with torch.save(model.state_dict(), path).");
  const Pickle second = reader.pickle();
  DURA_CHECK(second[second.root].kind == PickleKind::integer && second[second.root].integer == protocol, file,
             ": has another torch.save protocol than ", protocol, ". Save it again with a current version of torch.");
  const Pickle system = reader.pickle();
  const PickleValue* little_endian = system.find(system[system.root], "little_endian");
  DURA_CHECK(little_endian && little_endian->kind == PickleKind::boolean && little_endian->integer == 1, file,
             ": was not saved on a little-endian machine. Save it again on one.");

  TorchContainer container;
  container.pickle = reader.pickle();
  struct Expected {
    int64_t count;
    uint64_t bytes;
  };
  std::map<std::string_view, Expected> expected;  // by key
  for (const PickleValue& value : container.pickle.values) {
    if (value.kind != PickleKind::storage) continue;
    const std::string_view key = container.pickle[value.items[1]].text;
    const int64_t count = container.pickle[value.items[2]].integer;
    const size_t size = container.pickle.type_of(value).bytes;
    DURA_CHECK(static_cast<uint64_t>(count) <= bytes.size() / size, file, ": storage ", quote(key), " of ", count,
               " elements is larger than the file. The file is truncated or damaged.");
    const uint64_t wanted = static_cast<uint64_t>(count) * size;
    DURA_CHECK(expected.emplace(key, Expected{count, wanted}).first->second.bytes == wanted, file, ": storage ", quote(key),
               " is described in two ways. The file is damaged.");
  }
  const Pickle keys = reader.pickle();
  DURA_CHECK(keys[keys.root].kind == PickleKind::list, file, ": has no list of storages. The file is damaged.");
  for (uint32_t item : keys[keys.root].items) {
    const std::string_view key = keys[item].text;
    const auto found = expected.find(key);
    DURA_CHECK(keys[item].kind == PickleKind::text && found != expected.end(), file, ": holds a storage ", quote(key),
               " that no tensor uses. The file is damaged.");
    int64_t count;
    std::memcpy(&count, reader.take(sizeof count, key).data(), sizeof count);
    DURA_CHECK(count == found->second.count, file, ": storage ", quote(key), " has ", count, " elements, its tensors expect ",
               found->second.count, ". The file is damaged.");
    DURA_CHECK(container.storages.emplace(key, reader.take(found->second.bytes, key)).second, file, ": storage ", quote(key),
               " exists twice. The file is damaged.");
  }
  DURA_CHECK(reader.left() == 0, file, ": ", reader.left(), " bytes follow the last storage. The file is damaged.");
  return container;
}

}  // namespace dura
