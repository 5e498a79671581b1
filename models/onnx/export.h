// A trained classifier as an ONNX file, for programs that run networks with another engine (onnx.ai). Operators of the standard set,
// version 13; weights inside, bit for bit and under torchvision's names; every BatchNorm is a node with its stored statistics, which
// engines fold into the convolution before it when they load the file.
//
//   input   pixels  u8 (N,size,size,3), red green blue, prepared as the model's metadata say; or images f32 (N,3,size,size), normalised
//   output  logits and probabilities, f32 (N,classes)
//
// Noise removal, CLAHE and resizing are no operators of ONNX: the metadata (metadata_props) state them as a model file does, and dura.mean,
// dura.deviation, dura.channels and dura.onnx_input beside them. Whoever is handed the file alone has the model's card in them, too.
#pragma once
#include <filesystem>

#include "data/image/preprocess.h"
#include "models/network/classifier.h"

namespace dura {

enum class OnnxInput : uint8_t { pixels, images };

struct OnnxOptions {
  int64_t batch = 0;                    // images in a batch; 0: any number
  OnnxInput input = OnnxInput::pixels;  // pixels: normalised by nodes of the graph; images: by the caller, as the metadata say
  Entries more = {};                    // metadata beside those of the network: a model file's card
};

// Written atomically. Error: a model that does not compute in f32, one whose file would be larger than the 2 GiB of a protocol buffer, or
// what AtomicFile refuses.
void write_onnx(const std::filesystem::path& file, Classifier& model, const PreprocessingOptions& preprocessing,
                const OnnxOptions& options = {});

}  // namespace dura
