#include "weights/conventions.h"

#include <algorithm>
#include <cctype>

namespace dura {
namespace {

struct KnownFile {
  const char *sha256, *name, *input, *variant, *stem_pool;
};
// torchvision's two sets of ImageNet weights for ResNet-50; see weights/README.md.
constexpr KnownFile known_files[] = {
    {"0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", "resnet50-0676ba61.pth (IMAGENET1K_V1)", "torch", "v1_5", "padded"},
    {"11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca", "resnet50-11ad3fa6.pth (IMAGENET1K_V2)", "torch", "v1_5", "padded"},
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

WeightConventions conventions_of(const StateDict& state, const std::string& file_sha256) {
  const auto& metadata = state.metadata();
  WeightConventions c;
  if (metadata.count("dura.input") && metadata.count("dura.variant") && metadata.count("dura.stem_pool")) {
    c = {metadata.at("dura.input"), metadata.at("dura.variant"), metadata.at("dura.stem_pool"), "stated in the file", true};
    return c;
  }
  for (const KnownFile& f : known_files)
    if (file_sha256 == f.sha256) return {f.input, f.variant, f.stem_pool, std::string("known file ") + f.name, true};
  for (const auto& [key, value] : metadata) {
    const std::string text = lower(value);
    if (text.find("caffe") != std::string::npos || text.find("msra") != std::string::npos)
      return {"caffe", "v1", "ceil", "the entry '" + key + "' names the original Caffe weights", true};
  }
  return c;
}

}  // namespace dura
