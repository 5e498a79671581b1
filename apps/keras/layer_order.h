// An early Keras 3 numbers a file's layers, each kind by itself and in the model's order: conv2d, conv2d_1, ..., batch_normalization, ...
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weights/state.h"

namespace dura {

// conv2d_12: the kind conv2d, the number 12; conv2d: 0. None where the layer's name is of another form.
std::optional<int> number_of_layer(std::string_view layer, std::string_view kind);

// Names of keras.applications' ResNet V1 for convolutions in the model's order ("conv2_block1_0", without _conv; _bn's are the same), by
// the extents (H,W,C,K) of their filters: 7x7, then blocks of 1x1, 3x3 and 1x1; where a stage begins, the 1x1 of the shortcut stands in
// front of the block's last. Empty where they are not of that form.
std::vector<std::string> resnet_layer_order(const std::vector<Dimensions>& filters);

}  // namespace dura
