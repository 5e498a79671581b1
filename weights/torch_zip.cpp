#include <optional>

#include "engine/base/text.h"
#include "weights/torch_container.h"
#include "weights/zip.h"

namespace dura {

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

}  // namespace dura
