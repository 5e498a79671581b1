#include "models/predictor.h"

#include <algorithm>

#include "data/image/rgb_batch.h"

namespace dura {

Predictor::Predictor(const std::filesystem::path& model, const PredictorOptions& options)
    : options_(options), file_(read_model(model, options.tensors)), steps_(file_.preprocessing.steps()) {
  DURA_CHECK(options.batch > 0, "predictor: a batch of ", options.batch, " pictures, at least one is needed");
}

void Predictor::reserve() {
  if (step_) return;
  const int64_t size = file_.preprocessing.size;
  auto step = std::make_unique<InferenceStep>(*file_.model, Shape{options_.batch, size, size, 3}, options_.capture);
  step->prepare();
  step_ = std::move(step);
}

std::vector<Answer> Predictor::predict(const std::vector<Image>& pictures) {
  reserve();
  const int64_t size = file_.preprocessing.size;
  const auto batch = static_cast<size_t>(options_.batch);
  std::vector<Answer> answers;
  for (size_t first = 0; first < pictures.size(); first += batch) {
    std::vector<Image> inputs;
    for (size_t i = first; i < std::min(pictures.size(), first + batch); ++i) inputs.push_back(prepared(pictures[i]));
    const auto count = static_cast<std::ptrdiff_t>(inputs.size());
    inputs.resize(batch, Image(size, size, 1));
    std::vector<Answer> found = answers_of(step_->run(rgb_batch(inputs)));
    std::move(found.begin(), found.begin() + count, std::back_inserter(answers));
  }
  return answers;
}

Answer Predictor::predict(const Image& picture) { return predict(std::vector<Image>{picture}).front(); }
Answer Predictor::predict(const std::filesystem::path& picture) { return predict(read_image(picture.string())); }

Explanation Predictor::explain(const Image& picture, const ExplainOptions& options) {
  return dura::explain(*file_.model, rgb_batch({prepared(picture)}), options).front();
}
Explanation Predictor::explain(const std::filesystem::path& picture, const ExplainOptions& options) {
  return explain(read_image(picture.string()), options);
}

}  // namespace dura
