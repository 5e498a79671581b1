#include "apps/keras/keras_weights.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>

#include "apps/keras/hdf5_file.h"
#include "engine/base/text.h"
#include "weights/conventions.h"
#include "weights/pth.h"

namespace dura {
namespace {

constexpr double keras_epsilon = 1.001e-5, epsilon = 1e-5;

// What torchvision calls a layer of the backbone; empty for any other.
struct TorchLayer {
  std::string name;
  bool is_norm = false;
};

TorchLayer torch_layer(std::string_view layer) {
  if (layer == "conv1_conv") return {"conv1"};
  if (layer == "conv1_bn") return {"bn1", true};
  // conv2_block1_0_conv
  const std::vector<std::string> parts = split_at(layer, '_');
  if (parts.size() != 4 || !parts[0].starts_with("conv") || !parts[1].starts_with("block") || (parts[3] != "conv" && parts[3] != "bn"))
    return {};
  const auto stage = parse_number<int>(parts[0].substr(4)), block = parse_number<int>(parts[1].substr(5)),
             place = parse_number<int>(parts[2]);
  if (!stage || !block || !place || *stage < 2 || *stage > 5 || *block < 1 || *place < 0 || *place > 3) return {};
  const bool norm = parts[3] == "bn";
  const std::string of_block = concat("layer", *stage - 1, ".", *block - 1, ".");
  if (*place == 0) return {concat(of_block, "downsample.", norm ? 1 : 0), norm};
  return {concat(of_block, norm ? "bn" : "conv", *place), norm};
}

// torchvision's name of a variable; as it is where it has none.
std::string torch_variable(const std::string& name, bool is_norm) {
  static const std::map<std::string, std::string> names = {{"kernel", "weight"},
                                                           {"gamma", "weight"},
                                                           {"bias", "bias"},
                                                           {"beta", "bias"},
                                                           {"moving_mean", "running_mean"},
                                                           {"moving_variance", "running_var"}};
  static const std::map<std::string, std::string> numbered = {{"0", "weight"}, {"1", "bias"}, {"2", "running_mean"}, {"3", "running_var"}};
  if (const auto found = names.find(name); found != names.end()) return found->second;
  if (const auto found = numbered.find(name); found != numbered.end() && (is_norm || name < "2")) return found->second;
  return name;
}

// (H,W,C,K) -> (K,C,H,W) and (in,out) -> (out,in): the last dimension first, and a filter's two before it swapped with its extents.
Array in_torch_order(const Array& array) {
  const Dimensions& d = array.dimensions();
  if (d.size() != 2 && d.size() != 4) return array;
  const int64_t outputs = d.back(), inputs = d[d.size() - 2], pixels = d.size() == 4 ? d[0] * d[1] : 1;
  std::vector<float> values(static_cast<size_t>(array.numel()));
  size_t to = 0;
  for (int64_t k = 0; k < outputs; ++k)
    for (int64_t c = 0; c < inputs; ++c)
      for (int64_t p = 0; p < pixels; ++p) values[to++] = static_cast<float>(array.value((p * inputs + c) * outputs + k));
  return Array::of(d.size() == 4 ? Dimensions{outputs, inputs, d[0], d[1]} : Dimensions{outputs, inputs}, ElementType::f32, values);
}

Array with_our_epsilon(const Array& variance) {
  std::vector<float> values;
  for (int64_t i = 0; i < variance.numel(); ++i) values.push_back(static_cast<float>(variance.value(i) + (keras_epsilon - epsilon)));
  return Array::of(variance.dimensions(), ElementType::f32, values);
}

// Gives the numbered layers of a backbone the names that keras.applications has for them; others keep their number.
void name_numbered_layers(std::vector<KerasVariable>& variables, const std::string& file) {
  std::map<int, Dimensions> filters;
  for (const KerasVariable& v : variables)
    if (const auto number = number_of_layer(v.layer, "conv2d"); number && v.name == "0") filters[*number] = v.array.dimensions();
  std::vector<Dimensions> in_order;
  for (const auto& [number, extents] : filters) in_order.push_back(extents);
  const std::vector<std::string> names = resnet_layer_order(in_order);
  DURA_CHECK(!names.empty() && filters.begin()->first == 0 && filters.rbegin()->first + 1 == std::ssize(filters), file,
             ": its layers have numbers and no names ('conv2d_1'), as of an early Keras 3, and its ", filters.size(),
             " convolutions are not those of a ResNet V1 in their order. Load it there and save it with a newer Keras, or as .h5.");
  for (KerasVariable& v : variables)
    for (const auto& [kind, ending] : {std::pair{"conv2d", "_conv"}, std::pair{"batch_normalization", "_bn"}})
      if (const auto number = number_of_layer(v.layer, kind); number && *number >= 0 && *number < std::ssize(names))
        v.layer = names[static_cast<size_t>(*number)] + ending;
}

}  // namespace

std::optional<int> number_of_layer(std::string_view layer, std::string_view kind) {
  if (layer == kind) return 0;
  if (!layer.starts_with(concat(kind, "_"))) return std::nullopt;
  return parse_number<int>(layer.substr(kind.size() + 1));
}

std::vector<std::string> resnet_layer_order(const std::vector<Dimensions>& filters) {
  const auto is = [&](size_t i, int64_t size) {
    return i < filters.size() && filters[i].size() == 4 && filters[i][0] == size && filters[i][1] == size;
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

StateDict keras_weights(const std::vector<KerasVariable>& variables, const std::string& file) {
  StateDict state;
  std::vector<std::string> others;
  for (const KerasVariable& v : variables) {
    const TorchLayer layer = torch_layer(v.layer);
    if (layer.name.empty()) others.push_back(quote(v.layer));
    const std::string variable = torch_variable(v.name, layer.is_norm);
    const bool variance = layer.is_norm && variable == "running_var";
    state.add(concat(layer.name.empty() ? v.layer : layer.name, ".", variable),
              variance ? with_our_epsilon(v.array) : in_torch_order(v.array));
  }
  others.erase(std::unique(others.begin(), others.end()), others.end());
  DURA_CHECK(state.contains("conv1.weight"), file,
             ": holds no ResNet V1 of Keras: no layer is called conv1_conv. Its layers with weights are ",
             others.empty() ? "none" : first_few(others, ", ", 12), ".");
  state.metadata() =
      WeightConventions{.input = InputConvention::keras, .variant = ResNetVariant::v1, .stem_pool = StemPool::padded}.metadata();
  return state;
}

StateDict read_keras(const std::filesystem::path& file) {
  std::vector<KerasVariable> variables, numbered;
  for (const Hdf5Array& a : read_hdf5(file)) {
    std::vector<std::string> parts = split_at(a.path, '/');
    if (parts.front().starts_with("optimizer")) continue;
    DURA_CHECK(parts.size() >= 2, file.string(), ": the array ", quote(a.path), " belongs to no layer. Expected is a file of Keras.");
    std::string layer = parts[parts.size() - 2], name = parts.back().substr(0, parts.back().find(':'));  // "kernel:0"
    const bool has_number = layer == "vars" && a.group.empty() && parts.size() >= 3;
    if (layer == "vars") layer = has_number ? parts[parts.size() - 3] : a.group;
    (has_number ? numbered : variables).push_back({layer, name, a.array});
  }
  if (!numbered.empty()) name_numbered_layers(numbered, file.string());
  variables.insert(variables.end(), std::make_move_iterator(numbered.begin()), std::make_move_iterator(numbered.end()));
  return keras_weights(variables, file.string());
}

StateDict read_weights_or_keras(const std::filesystem::path& file) { return is_hdf5(file) ? read_keras(file) : read_weights(file); }

}  // namespace dura
