#include "models/network/conv_bias.h"

#include <string_view>

namespace dura {
namespace {

// torchvision's name of the BatchNorm behind a convolution: "layer1.0.bn1" behind "layer1.0.conv1", "downsample.1" behind "downsample.0".
std::string norm_behind(std::string conv) {
  if (const size_t at = conv.rfind("conv"); at != std::string::npos)
    conv.replace(at, 4, "bn");
  else if (conv.ends_with(".downsample.0"))
    conv.back() = '1';
  return conv;
}

}  // namespace

std::vector<std::string> fold_conv_biases(std::map<std::string, Array>& arrays) {
  constexpr std::string_view end = ".bias";
  std::vector<std::string> biased, folded;
  for (const auto& [name, array] : arrays)
    if (name.ends_with(end)) biased.push_back(name.substr(0, name.size() - end.size()));
  for (const std::string& conv : biased) {
    const auto weight = arrays.find(conv + ".weight"), bias = arrays.find(conv + ".bias");
    const auto mean = arrays.find(norm_behind(conv) + ".running_mean");
    if (weight == arrays.end() || weight->second.dimensions().size() != 4 || mean == arrays.end()) continue;
    const Dimensions filters = {weight->second.dimensions()[0]};
    if (mean->second.dimensions() != filters || bias->second.dimensions() != filters) continue;
    std::vector<float> values;
    for (int64_t i = 0; i < filters[0]; ++i) values.push_back(static_cast<float>(mean->second.value(i) - bias->second.value(i)));
    mean->second = Array::of(filters, ElementType::f32, values);
    arrays.erase(bias);
    folded.push_back(conv);
  }
  return folded;
}

}  // namespace dura
