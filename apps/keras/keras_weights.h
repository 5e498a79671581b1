// Keras' ResNet V1 (keras.applications: ResNet50, ResNet101) under torchvision's names. Both kinds of file: a group for each layer (.h5 of
// save_weights and of whole models, of Keras 2 and 3), and Keras 3's .weights.h5, whose variables are numbered.
//
//   conv1_conv, conv1_bn                       conv1, bn1
//   conv{S}_block{B}_{I}_conv and _bn          layer{S-1}.{B-1}.conv{I} and .bn{I}; I = 0: .downsample.0 and .1
//   any other layer with a matrix (the head)   its own name
//   kernel, bias                               weight (H,W,C,K) -> (K,C,H,W), or (in,out) -> (out,in); bias
//   gamma, beta, moving_mean, moving_variance  weight, bias, running_mean, running_var
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weights/state.h"

namespace dura {

// A variable of a layer.
struct KerasVariable {
  std::string layer, name;  // "conv1_conv"; "kernel", or its number in the layer, "0"
  Array array;              // f32
};

// Keras' epsilon in BatchNorm is 1.001e-5, dura's 1e-5: the difference is added to the variance. Biases of convolutions stay what they are
// (conv_bias.h of models/network takes them into the BatchNorms). The metadata state the conventions: input keras, variant v1, padded.
// Error: no ResNet V1 of Keras, or two variables of one name. `file` names the source.
StateDict keras_weights(const std::vector<KerasVariable>& variables, const std::string& file);

// An early Keras 3 numbers a file's layers, each kind by itself and in the model's order: conv2d, conv2d_1, ..., batch_normalization, ...
// This is the number in conv2d_12 where the kind is conv2d; 0 in conv2d itself. None where the layer's name is of another form.
std::optional<int> number_of_layer(std::string_view layer, std::string_view kind);
// Names of keras.applications' ResNet V1 for convolutions in the model's order ("conv2_block1_0", without _conv; _bn's are the same), by
// the sizes (H,W,C,K) of their filters: 7x7, then blocks of 1x1, 3x3 and 1x1; where a stage begins, the 1x1 of the shortcut stands in
// front of the block's last. Empty where they are not of that form.
std::vector<std::string> resnet_layer_order(const std::vector<Dimensions>& filters);

// Of an HDF5 file that Keras wrote; what belongs to the optimizer is passed over.
StateDict read_keras(const std::filesystem::path& file);
// Whichever it is by its first bytes: Keras', or what read_weights (pth.h) reads.
StateDict read_weights_or_keras(const std::filesystem::path& file);

}  // namespace dura
