// A trained model in use: pictures in, answers and heat maps out. It is the one way from a file to an answer, and the programs go it, too:
// read, prepare as the model's training did, normalise, network, softmax.
//
//   Predictor predictor("model.safetensors");
//   const Image slice = read_image("slice.png");     // or pixels from elsewhere
//   const Answer answer = predictor.predict(slice);  // predictor.classes()[answer.predicted], answer.probability
//   write_png("map.png", overlay(slice, predictor.explain(slice).map));
//
// Pictures have 8 bits per channel, one channel or three, and any size: the model file says how they are prepared. The same picture has the
// same answer, bit for bit, on any number of threads; a batch of another size may differ in the last digits.
// Kept between calls: the weights, and the memory of one step of inference, taken at the first predict() or by reserve().
// Threads: one call at a time. Predictors share nothing, so each thread may have its own.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/image/codec.h"
#include "models/explain/explanation.h"
#include "models/explain/overlay.h"
#include "models/network/inference_step.h"
#include "models/network/model_file.h"

namespace dura {

struct PredictorOptions {
  TensorOptions tensors = {};  // the type computed in, and the device
  int64_t batch = 1;           // pictures computed at a time; where fewer are given, black ones fill up
  bool capture = true;         // CapturedStepOptions
};

class Predictor {
 public:
  // Error: not a model that dura-train wrote, or damaged; it names the file and what is wrong.
  explicit Predictor(const std::filesystem::path& model, const PredictorOptions& options = {});

  const std::vector<std::string>& classes() const { return file_.model->classes(); }
  const ModelFile& file() const { return file_; }

  // Takes the memory for inference now. OutOfMemory says which batch would fit.
  void reserve();

  // Error: a file that cannot be read as a picture (its name and the reason), or a lack of memory.
  Answer predict(const std::filesystem::path& picture);
  Answer predict(const Image& picture);
  std::vector<Answer> predict(const std::vector<Image>& pictures);

  // The answer and the heat map of the predicted class, or of the one that the options name.
  Explanation explain(const std::filesystem::path& picture, const ExplainOptions& options = {});
  Explanation explain(const Image& picture, const ExplainOptions& options = {});

  // The picture as the network takes it: denoised, its contrast raised, resized, as the model file says; one channel or three.
  Image prepared(const Image& picture) const { return steps_.slice(picture); }

 private:
  PredictorOptions options_;
  ModelFile file_;
  Preprocessing steps_;
  std::unique_ptr<InferenceStep> step_;  // null until it is needed
};

}  // namespace dura
