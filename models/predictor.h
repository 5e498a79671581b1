// A trained model in use: pictures in, answers and heat maps out. It is the one way from a file to an answer for dura-predict, too:
// read, prepare as the model's training did, normalise, network, softmax.
//
//   Predictor predictor("model.safetensors");
//   const Image slice = read_image("slice.png");     // or pixels from elsewhere
//   const Answer answer = predictor.predict(slice);  // predictor.classes()[answer.predicted], answer.probability
//   write_png("map.png", overlay(slice, predictor.explain(slice).map));
//
// Pictures have 8 bits per channel, one channel or three, and any size: the model file says how they are prepared. The same picture has the
// same answer, bit for bit, on any number of threads; a batch of another size may differ in the last digits.
// Kept between calls: the weights, and the memory of a step of inference, taken at the first predict() or by reserve().
// Threads: several may call at the same time. They share the weights; on the CPU each call has a step of its own, and as many steps are
// kept as calls ran at once. On any other device one call waits for the other.
#pragma once
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
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
  // The same of a model file's bytes, which are not needed afterwards. `name` stands for the file in messages.
  Predictor(std::span<const uint8_t> model, const std::string& name, const PredictorOptions& options = {});

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
  Predictor(ModelFile file, const PredictorOptions& options);
  // An idle step, or a new one. It is put back after a call that ended well; a failed call's step is given up.
  std::unique_ptr<InferenceStep> take_step();
  void put_back(std::unique_ptr<InferenceStep> step);
  // Held for a call where the device is one queue of work; empty on the CPU.
  std::unique_lock<std::mutex> turn();

  PredictorOptions options_;
  ModelFile file_;
  Preprocessing steps_;
  std::mutex device_mutex_, idle_mutex_;
  std::vector<std::unique_ptr<InferenceStep>> idle_;
};

}  // namespace dura
