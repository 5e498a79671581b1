#include "weights/conventions.h"

#include <algorithm>

#include "engine/base/text.h"
#include "weights/state.h"

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

using Names = std::vector<std::string>;  // of a convention's values, in the order of its enumerators

// visit(metadata key, value, names) for each of the three.
template <class Conventions, class Visit>
void for_each(Conventions& c, const Visit& visit) {
  visit("dura.input", c.input, Names{"torch", "caffe", "keras"});
  visit("dura.variant", c.variant, Names{"v1", "v1_5"});
  visit("dura.stem_pool", c.stem_pool, Names{"padded", "ceil"});
}

template <class Value>
bool set_by_name(Value& value, const Names& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) value = static_cast<Value>(found - names.begin());
  return found != names.end();
}

// "a or b", "a, b or c"
std::string listed(const Names& names) { return joined({names.begin(), names.end() - 1}, ", ") + " or " + names.back(); }

}  // namespace

std::map<std::string, std::string> WeightConventions::metadata() const {
  std::map<std::string, std::string> entries;
  for_each(*this, [&](const char* key, auto value, const Names& names) { entries[key] = names[static_cast<size_t>(value)]; });
  return entries;
}

std::string WeightConventions::text() const {
  const auto names = metadata();
  return concat("input ", names.at("dura.input"), ", variant ", names.at("dura.variant"), ", stem pooling ", names.at("dura.stem_pool"),
                " (", source, ")");
}

WeightConventions stated_conventions(const std::map<std::string, std::string>& metadata, const std::string& file) {
  WeightConventions c{.source = "stated in the file", .known = true};
  for_each(c, [&](const char* key, auto& value, const Names& names) {
    const auto found = metadata.find(key);
    DURA_CHECK(found != metadata.end(), file, ": its metadata state some conventions but not ", key, " (", listed(names),
               "). Convert the original weights again.");
    DURA_CHECK(set_by_name(value, names, found->second), file, ": its metadata say ", key, " = ", quote(found->second), ", expected ",
               listed(names), ". Was it written by a newer version?");
  });
  return c;
}

WeightConventions conventions_of(const StateDict& state, const std::string& file_sha256, const std::string& file) {
  const auto& metadata = state.metadata();
  for (const auto& [key, value] : WeightConventions{}.metadata())
    if (metadata.contains(key)) return stated_conventions(metadata, file);
  for (const KnownFile& known : known_files)
    if (file_sha256 == known.sha256) return {.source = concat("the file is torchvision's ", known.name), .known = true};
  for (const auto& [key, value] : metadata)
    if (const std::string said = lower_case(value); said.find("caffe") != std::string::npos || said.find("msra") != std::string::npos)
      return {InputConvention::caffe, ResNetVariant::v1, StemPool::ceil,
              concat("its metadata entry ", quote(key), " names the original Caffe weights"), true};
  if (state.contains("conv1.bias"))
    return {
        .source =
            "unknown: torchvision's conventions are assumed, but it has conv1.bias, which torchvision's networks lack; if it comes from "
            "Caffe or Keras, say input caffe or keras, and variant v1"};
  return {.source = "unknown: torchvision's conventions are assumed; where that is wrong, results are worse without any other sign"};
}

std::vector<std::string> GivenConventions::choices(const std::string& key) {
  Names all = {"auto"};
  const WeightConventions any;
  for_each(any, [&](const char* other, auto, const Names& names) {
    if (key == other) all.insert(all.end(), names.begin(), names.end());
  });
  return all;
}

WeightConventions GivenConventions::over(WeightConventions found) const {
  const std::map<std::string, std::string> given = {{"dura.input", input}, {"dura.variant", variant}, {"dura.stem_pool", stem_pool}};
  for_each(found, [&](const char* key, auto& value, const Names& names) {
    const std::string& name = given.at(key);
    if (name != "auto" && !set_by_name(value, names, name)) fail_usage("there is no ", key, " '", name, "'. Use ", listed(names), ".");
  });
  return found;
}

}  // namespace dura
