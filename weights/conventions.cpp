#include "weights/conventions.h"

#include <algorithm>
#include <vector>

namespace dura {

namespace {

struct KnownFile {
  const char *sha256, *name;
};
// torchvision's two sets of ImageNet weights for ResNet-50 (weights/README.md). Both are in torchvision's conventions.
constexpr KnownFile known_files[] = {
    {"0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", "resnet50-0676ba61.pth (IMAGENET1K_V1)"},
    {"11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca", "resnet50-11ad3fa6.pth (IMAGENET1K_V2)"},
};

bool mentions(std::string text, const char* word) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text.find(word) != std::string::npos;
}

struct Entry {
  const char* key;
  std::string WeightConventions::*value;
  std::vector<std::string> allowed;
};
const std::vector<Entry>& entries() {
  static const std::vector<Entry> all{{"dura.input", &WeightConventions::input, {"torch", "caffe"}},
                                      {"dura.variant", &WeightConventions::variant, {"v1", "v1_5"}},
                                      {"dura.stem_pool", &WeightConventions::stem_pool, {"padded", "ceil"}}};
  return all;
}

WeightConventions stated_conventions(const std::map<std::string, std::string>& metadata, const std::string& file) {
  WeightConventions c;
  for (const Entry& entry : entries()) {
    const auto found = metadata.find(entry.key);
    DURA_CHECK(found != metadata.end(), file, ": its metadata state some conventions but not ", entry.key, " (", entry.allowed[0], " or ",
               entry.allowed[1], "). Convert the original weights again.");
    DURA_CHECK(std::count(entry.allowed.begin(), entry.allowed.end(), found->second) == 1, file, ": its metadata say ", entry.key, " = ",
               quote(found->second), ", expected ", entry.allowed[0], " or ", entry.allowed[1], ". Was it written by a newer version?");
    c.*entry.value = found->second;
  }
  c.source = "stated in the file";
  c.known = true;
  return c;
}

}  // namespace

WeightConventions conventions_of(const StateDict& state, const std::string& file_sha256, const std::string& file) {
  const auto& metadata = state.metadata();
  for (const Entry& entry : entries())
    if (metadata.contains(entry.key)) return stated_conventions(metadata, file);
  for (const KnownFile& known : known_files)
    if (file_sha256 == known.sha256) return {.source = concat("the file is torchvision's ", known.name), .known = true};
  for (const auto& [key, value] : metadata)
    if (mentions(value, "caffe") || mentions(value, "msra"))
      return {"caffe", "v1", "ceil", concat("its metadata entry ", quote(key), " names the original Caffe weights"), true};
  if (state.contains("conv1.bias"))
    return {
        .source =
            "unknown: torchvision's conventions are assumed, but it has conv1.bias, which torchvision's networks lack; if it comes from "
            "Caffe or Keras, say input caffe and variant v1"};
  return {.source = "unknown: torchvision's conventions are assumed; where that is wrong, results are worse without any other sign"};
}

void state_conventions(StateDict& state, const WeightConventions& conventions) {
  for (const Entry& entry : entries()) state.metadata()[entry.key] = conventions.*entry.value;
}

}  // namespace dura
