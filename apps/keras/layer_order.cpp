#include "apps/keras/layer_order.h"

#include "engine/base/text.h"

namespace dura {

std::optional<int> number_of_layer(std::string_view layer, std::string_view kind) {
  if (layer == kind) return 0;
  if (!layer.starts_with(concat(kind, "_"))) return std::nullopt;
  return parse_number<int>(layer.substr(kind.size() + 1));
}

std::vector<std::string> resnet_layer_order(const std::vector<Dimensions>& filters) {
  const auto is = [&](size_t i, int64_t extent) {
    return i < filters.size() && filters[i].size() == 4 && filters[i][0] == extent && filters[i][1] == extent;
  };
  const auto inputs = [&](size_t i) { return filters[i][2]; };
  const auto outputs = [&](size_t i) { return filters[i][3]; };
  if (!is(0, 7)) return {};
  std::vector<std::string> names = {"conv1"};
  for (int stage = 1, block = 0; names.size() < filters.size();) {
    const size_t i = names.size();
    if (!is(i, 1) || !is(i + 1, 3) || !is(i + 2, 1)) return {};
    const bool begins = is(i + 3, 1) && outputs(i + 3) == outputs(i + 2) && inputs(i + 3) == outputs(i + 1) && inputs(i + 2) == inputs(i);
    if (begins) ++stage, block = 0;
    if (stage == 1) return {};
    const std::string of_block = concat("conv", stage, "_block", ++block, "_");
    for (const char* place : {"1", "2", "0", "3"})
      if (begins || *place != '0') names.push_back(of_block + place);
  }
  return names;
}

}  // namespace dura
