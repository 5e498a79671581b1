// A classifier out of a checkpoint of others: a ResNet with torchvision's names, as PyTorch's training scripts, Lightning and timm save it.
// The network is found among the file's tensors, whatever stands in front of its names; its depth is the one that fits, and its dense layer
// may lie inside a Sequential or beside the backbone.
// Invariant: a model is made only where the file holds every tensor of the network in its shape, and the network has a place for every
// tensor beside it. Nothing is guessed or filled up.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/network/classifier.h"
#include "weights/load.h"

namespace dura {

struct ImportOptions {
  std::vector<std::string> classes = {};  // as many as the dense layer has outputs, in their order
  WeightConventions conventions = {};
  int depth = 0;            // 18, 34, 50 or 101; 0: the one that fits best
  std::string prefix = "";  // of the network to take where the file holds several: what stands in front of its names, "ema.module."
};

struct ImportedModel {
  std::unique_ptr<Classifier> model;
  std::string prefix;  // what stands in front of the backbone's names in the file
  std::string head;    // the dense layer's name there
  // Convolutions whose biases were taken into the running means of the BatchNorms behind them: the same network.
  std::vector<std::string> folded;
  std::vector<std::string> left_out;  // tensors beside the network: an optimizer's, another network's
};

// Elements of any floating type become f32. `file` names the source.
// UsageError: no classes, a class without a name, two of the same name, another number of them than the file has, or several networks where
// none is chosen. Error: no ResNet, or one that does not fit, with a line for each tensor that is missing, not expected or of another
// shape; an unexpected one with the nearest known name.
ImportedModel import_model(const StateDict& state, const ImportOptions& options, const std::string& file);

// One name a line, in the order of the outputs. Error for a file without names and for an empty line before the end.
std::vector<std::string> read_class_names(const std::filesystem::path& file);

}  // namespace dura
