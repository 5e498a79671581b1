// A trained classifier as one file: its tensors in torchvision's names and layout, and everything that is needed to use it rightly as
// metadata: classes and their order, architecture, input convention, image size and preprocessing. And backbones from files of others.
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/image/preprocess.h"
#include "models/network/classifier.h"
#include "weights/load.h"

namespace dura {

struct ModelFile {
  std::unique_ptr<Classifier> model;
  PreprocessingOptions preprocessing;
};

// How a model is used, as text: dura.format, dura.classes (one per line), dura.depth, dura.variant, dura.stem_pool, dura.input,
// dura.dropout, and the entries of the preprocessing.
Entries model_metadata(const Classifier& model, const PreprocessingOptions& preprocessing);
// `more`: entries beside those of model_metadata.
void write_model(const std::filesystem::path& file, Classifier& model, const PreprocessingOptions& preprocessing, const Entries& more = {});
// Throws Error for a file that neither dura-train nor import_model made, naming what is missing; "the file has 2 classes" where
// `expected_classes` differ in number, name or order.
ModelFile read_model(const std::filesystem::path& file, const TensorOptions& tensors,
                     const std::vector<std::string>& expected_classes = {});
// The same of a file's bytes; `name` names them in messages. Nothing of them is needed afterwards.
ModelFile parse_model(std::span<const uint8_t> bytes, const std::string& name, const TensorOptions& tensors);

// Copies a file's tensors into the model's backbone, whatever head the file has. Convolutions that it lacks keep their initial values, and
// their BatchNorm is reset to (1, 0, 0, 1): their names are returned. Biases of convolutions go into the BatchNorms behind them
// (conv_bias.h). Tensors of blocks that the model does not have are an error; others (a head) are named in the log and left out.
std::vector<std::string> load_backbone(Classifier& model, const StateDict& state, const std::string& file);

}  // namespace dura
