#include "models/predictor.h"

#include <algorithm>

#include "data/image/preprocess.h"

namespace dura {

Predictor::Predictor(ModelFile file, const PredictorOptions& options)
    : options_(options), file_(std::move(file)), steps_(file_.preprocessing.steps()) {
  DURA_CHECK(options.batch > 0, "predictor: a batch of ", options.batch, " pictures, at least one is needed");
}
Predictor::Predictor(const std::filesystem::path& model, const PredictorOptions& options)
    : Predictor(read_model(model, options.tensors), options) {}
Predictor::Predictor(std::span<const uint8_t> model, const std::string& name, const PredictorOptions& options)
    : Predictor(parse_model(model, name, options.tensors), options) {}

std::unique_lock<std::mutex> Predictor::turn() {
  return host_readable(options_.tensors.device) ? std::unique_lock<std::mutex>() : std::unique_lock(device_mutex_);
}

std::unique_ptr<InferenceStep> Predictor::take_step() {
  {
    const std::lock_guard lock(idle_mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<InferenceStep> step = std::move(idle_.back());
      idle_.pop_back();
      return step;
    }
  }
  const int64_t size = file_.preprocessing.size;
  auto step = std::make_unique<InferenceStep>(*file_.model, Shape{options_.batch, size, size, 3}, options_.capture);
  step->prepare();
  return step;
}

void Predictor::put_back(std::unique_ptr<InferenceStep> step) {
  const std::lock_guard lock(idle_mutex_);
  idle_.push_back(std::move(step));
}

void Predictor::reserve() {
  const auto waiting = turn();
  put_back(take_step());
}

std::vector<Answer> Predictor::predict(const std::vector<Image>& pictures) {
  const int64_t size = file_.preprocessing.size;
  const auto batch = static_cast<size_t>(options_.batch);
  const auto waiting = turn();
  std::unique_ptr<InferenceStep> step = take_step();
  std::vector<Answer> answers;
  for (size_t first = 0; first < pictures.size(); first += batch) {
    std::vector<Image> inputs;
    for (size_t i = first; i < std::min(pictures.size(), first + batch); ++i) inputs.push_back(prepared(pictures[i]));
    const auto count = static_cast<std::ptrdiff_t>(inputs.size());
    inputs.resize(batch, Image(size, size, 1));
    std::vector<Answer> found = answers_of(step->run(rgb_batch(inputs)));
    std::move(found.begin(), found.begin() + count, std::back_inserter(answers));
  }
  put_back(std::move(step));
  return answers;
}

Answer Predictor::predict(const Image& picture) { return predict(std::vector<Image>{picture}).front(); }
Answer Predictor::predict(const std::filesystem::path& picture) { return predict(read_image(picture.string())); }

Explanation Predictor::explain(const Image& picture, const ExplainOptions& options) {
  const auto waiting = turn();
  return dura::explain(*file_.model, rgb_batch({prepared(picture)}), options).front();
}
Explanation Predictor::explain(const std::filesystem::path& picture, const ExplainOptions& options) {
  return explain(read_image(picture.string()), options);
}

}  // namespace dura
