#include "weights/pth.h"

#include <cstring>
#include <map>
#include <optional>

#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "weights/pickle.h"
#include "weights/zip.h"

namespace dura {

namespace {

// The two containers that torch.save has written: a zip file with one entry per storage (since 1.6), and before that five pickles
// followed by the storages. Both give the same: one pickle, and the raw bytes of the storages it refers to. The bytes must outlive it.
struct TorchContainer {
  Pickle pickle;
  std::map<std::string_view, std::span<const uint8_t>> storages;  // by key
};

// <root>/data.pkl, <root>/data/<key> and small texts; the name of the root is that of the file when it was saved, so any is accepted.
TorchContainer read_torch_zip(std::span<const uint8_t> bytes, const std::string& file) {
  const std::vector<ZipEntry> entries = read_zip(bytes, file);
  std::optional<std::string_view> root;
  std::span<const uint8_t> pickled;
  for (const ZipEntry& entry : entries) {
    const size_t slash = entry.name.find('/');
    if (slash == std::string_view::npos || entry.name.substr(slash) != "/data.pkl") continue;
    DURA_CHECK(!root, file, ": holds two state dicts, in ", quote(*root), " and ", quote(entry.name.substr(0, slash)),
               ". Save one per file.");
    root = entry.name.substr(0, slash);
    pickled = entry.contents;
  }
  DURA_CHECK(root, file, ": is a zip file but not one of torch.save (it has no data.pkl). Give a .pth or .safetensors file.");

  TorchContainer container;
  const std::string prefix = std::string(*root) + "/";
  for (const ZipEntry& entry : entries) {
    if (!entry.name.starts_with(prefix)) continue;
    const std::string_view name = entry.name.substr(prefix.size());
    const std::string_view text = text_of(entry.contents);
    DURA_CHECK(name != "byteorder" || text == "little", file, ": was saved with byte order ", quote(text),
               ", expected 'little'. Save it on a little-endian machine.");
    DURA_CHECK(
        name != "constants.pkl" && !name.starts_with("code/"), file,
        ": is a TorchScript program, which dura does not run. In Python, save the weights with torch.save(model.state_dict(), path).");
    constexpr std::string_view data = "data/";
    if (name.starts_with(data)) container.storages.emplace(name.substr(data.size()), entry.contents);
  }
  container.pickle = read_pickle(pickled, file);
  DURA_CHECK(container.pickle.bytes == pickled.size(), file, ": ", pickled.size() - container.pickle.bytes,
             " bytes follow the end of data.pkl. The file is damaged.");
  return container;
}

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

// Tied weights and views repeat bytes of the file; more than this is no network but an attempt to fill the memory or the disk.
constexpr uint64_t max_expansion = 4;
constexpr size_t max_visits = 100'000;
constexpr const char* usual_names[] = {"state_dict", "model_state_dict", "model_state", "model", "net",
                                       "network",    "module",           "weights",     "params"};

class Collector {
 public:
  Collector(const TorchContainer& container, const SharedBytes& bytes, const std::string& file)
      : pickle_(container.pickle), storages_(container.storages), bytes_(bytes), file_(file) {}

  StateDict collect() {
    const PickleValue& root = pickle_[pickle_.root];
    DURA_CHECK(root.kind == PickleKind::dict, file_,
               ": does not hold a dict of tensors. In Python, save one with torch.save(model.state_dict(), path).");
    add_dict(state_dict_in(root), "");
    if (state_.size() == 0)
      fail(file_, ": holds no tensors", keys_of(root), ". In Python, save them with torch.save(model.state_dict(), path).");
    if (!left_out_.empty()) log_warning(file_, ": left out what is not a tensor: ", left_out_);
    return std::move(state_);
  }

 private:
  const PickleValue& state_dict_in(const PickleValue& root) const {
    for (size_t i = 1; i < root.items.size(); i += 2)
      if (pickle_[root.items[i]].kind == PickleKind::tensor) return root;
    for (const char* name : usual_names) {
      const PickleValue* inner = pickle_.find(root, name);
      if (inner && inner->kind == PickleKind::dict) return *inner;
    }
    return root;
  }

  std::string keys_of(const PickleValue& dict) const {
    std::string text;
    for (size_t i = 0; i < dict.items.size() && text.size() < 200; i += 2)
      if (pickle_[dict.items[i]].kind == PickleKind::text)
        text.append(text.empty() ? "; its keys are " : ", ").append(quote(pickle_[dict.items[i]].text));
    return text;
  }

  // Depth is limited by the pickle; the number of visits guards against values that contain each other many times.
  void add_dict(const PickleValue& dict, const std::string& prefix) {
    for (size_t i = 0; i < dict.items.size(); i += 2) {
      DURA_CHECK(++visits_ <= max_visits, file_, ": its dicts contain each other too often. The file is hostile.");
      const PickleValue &key = pickle_[dict.items[i]], &value = pickle_[dict.items[i + 1]];
      const bool named = key.kind == PickleKind::text || key.kind == PickleKind::integer;
      const std::string name = prefix + (key.kind == PickleKind::text ? std::string(key.text) : std::to_string(key.integer));
      DURA_CHECK(name.size() <= 4096, file_, ": has a tensor name of more than 4096 bytes. The file is hostile.");
      if (named && value.kind == PickleKind::tensor) {
        DURA_CHECK(!state_.contains(name), file_, ": tensor ", quote(name), " exists twice. The file is damaged.");
        state_.add(name, tensor(value, name));
      } else if (named && value.kind == PickleKind::dict) {
        DURA_CHECK(++depth_ <= 16, file_, ": its dicts are nested deeper than 16. Save a plain state dict.");
        add_dict(value, name + ".");
        --depth_;
      } else if (left_out_.size() < 400) {
        left_out_.append(left_out_.empty() ? "" : ", ").append(named ? quote(name) : "an entry without a name");
      }
    }
  }

  Array tensor(const PickleValue& value, const std::string& name) {
    const PickleValue& storage = pickle_[value.items[0]];
    const std::string_view key = pickle_[storage.items[1]].text;
    const int64_t storage_count = pickle_[storage.items[2]].integer, offset = pickle_[value.items[1]].integer;
    const auto& [name_of_type, size, type] = pickle_.type_of(storage);
    DURA_CHECK(type, file_, ": tensor ", quote(name),
               " holds 8-bit signed or 16-bit integers, which dura does not read. Convert it to another type.");

    const auto found = storages_.find(key);
    DURA_CHECK(found != storages_.end(), file_, ": storage ", quote(key), " of tensor ", quote(name),
               " is missing. The file is truncated or damaged.");
    const std::span<const uint8_t> contents = found->second;
    DURA_CHECK(static_cast<uint64_t>(storage_count) == contents.size() / size && contents.size() % size == 0, file_, ": storage ",
               quote(key), " of tensor ", quote(name), " has ", contents.size(), " bytes, expected ", storage_count, " ",
               element_name(*type), " elements. The file is damaged.");

    Dimensions sizes, strides;
    for (uint32_t item : pickle_[value.items[2]].items) sizes.push_back(pickle_[item].integer);
    for (uint32_t item : pickle_[value.items[3]].items) strides.push_back(pickle_[item].integer);
    DURA_CHECK(sizes.size() <= 32, file_, ": tensor ", quote(name), " has ", sizes.size(), " dimensions, at most 32 are read.");
    const std::optional<uint64_t> bytes = array_bytes(sizes, *type);
    DURA_CHECK(bytes, file_, ": the shape ", describe(sizes), " of tensor ", quote(name),
               " has more elements than can be counted. The file is damaged.");
    if (*bytes > 0) check_reach(name, sizes, strides, offset, storage_count);
    total_ += *bytes;  // no overflow: each is at most 2^63 and the sum is checked every time
    DURA_CHECK(total_ <= max_expansion * bytes_->size(), file_, ": its tensors take more than ", max_expansion, " times the ",
               bytes_->size(), " bytes of the file. The file is hostile, or full of views: save contiguous tensors.");
    if (*bytes == 0) return Array(sizes, *type, {}, bytes_);
    const uint8_t* first = contents.data() + static_cast<size_t>(offset) * size;
    if (is_contiguous(sizes, strides)) return Array(sizes, *type, {first, *bytes}, bytes_);
    auto gathered = std::make_shared<std::vector<uint8_t>>(*bytes);
    gather(first, size, sizes, strides, *gathered);
    return Array(sizes, *type, *gathered, gathered);
  }

  // The last element, offset + sum (size-1)*stride, must lie inside the storage; strides are never negative here.
  void check_reach(const std::string& name, const Dimensions& sizes, const Dimensions& strides, int64_t offset,
                   int64_t storage_count) const {
    int64_t last = offset;
    bool fits = true;
    for (size_t d = 0; d < sizes.size(); ++d) {
      int64_t step;
      fits = fits && !__builtin_mul_overflow(sizes[d] - 1, strides[d], &step) && !__builtin_add_overflow(last, step, &last);
    }
    DURA_CHECK(fits && last < storage_count, file_, ": tensor ", quote(name), " of shape ", describe(sizes), " with strides ",
               describe(strides), " and offset ", offset, " reaches outside of its storage of ", storage_count,
               " elements. The file is damaged or hostile.");
  }

  static bool is_contiguous(const Dimensions& sizes, const Dimensions& strides) {
    int64_t expected = 1;
    for (size_t d = sizes.size(); d-- > 0;) {
      if (sizes[d] == 1) continue;  // torch leaves any stride where there is one element only
      if (strides[d] != expected) return false;
      expected *= sizes[d];
    }
    return true;
  }

  static void gather(const uint8_t* first, size_t size, const Dimensions& sizes, const Dimensions& strides, std::vector<uint8_t>& out) {
    Dimensions index(sizes.size(), 0);
    int64_t position = 0;
    for (size_t written = 0; written < out.size(); written += size) {
      std::memcpy(out.data() + written, first + static_cast<size_t>(position) * size, size);
      for (size_t d = sizes.size(); d-- > 0;) {  // the next index, last dimension fastest
        if (sizes[d] == 1) continue;             // its stride was never checked
        position += strides[d];
        if (++index[d] < sizes[d]) break;
        position -= strides[d] * sizes[d];
        index[d] = 0;
      }
    }
  }

  const Pickle& pickle_;
  const std::map<std::string_view, std::span<const uint8_t>>& storages_;
  const SharedBytes& bytes_;
  const std::string& file_;
  StateDict state_;
  std::string left_out_;
  size_t visits_ = 0, depth_ = 0;
  uint64_t total_ = 0;
};

bool begins_with(const std::vector<uint8_t>& bytes, std::string_view text, size_t at = 0) {
  return bytes.size() >= at && text_of(bytes).substr(at).starts_with(text);
}

constexpr std::string_view zip_begin("PK\x03\x04"), pickle_begin("\x80"), hdf5_begin("\x89HDF\r\n"), tar_mark("ustar");

}  // namespace

StateDict parse_pth(const SharedBytes& bytes, const std::string& file) {
  DURA_CHECK(!bytes->empty(), file, ": is empty. Copy or download it again.");
  DURA_CHECK(!begins_with(*bytes, tar_mark, 257), file,
             ": is a tar file, as torch wrote before 0.1.10. Save it again with a current version of torch.");
  const bool zip = begins_with(*bytes, zip_begin);
  DURA_CHECK(zip || begins_with(*bytes, pickle_begin), file, ": is not a file of torch.save. Give a .pth or .safetensors file.");
  const TorchContainer container = zip ? read_torch_zip(*bytes, file) : read_torch_legacy(*bytes, file);
  return Collector(container, bytes, file).collect();
}

StateDict read_weights(const std::filesystem::path& path) {
  const auto bytes = std::make_shared<const std::vector<uint8_t>>(read_file(path, max_weight_file_bytes));
  const std::string file = path.string();
  DURA_CHECK(!begins_with(*bytes, hdf5_begin), file,
             ": is an HDF5 file (Keras or MATLAB). dura-convert alone reads those of Keras: make safetensors of it first.");
  const bool torch = begins_with(*bytes, zip_begin) || begins_with(*bytes, pickle_begin) || begins_with(*bytes, tar_mark, 257);
  return torch ? parse_pth(bytes, file) : parse_safetensors(bytes, file);
}

}  // namespace dura
