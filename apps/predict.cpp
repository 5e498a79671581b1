// dura-predict: pictures in, class and probability out.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "apps/program/program.h"
#include "models/network/model_file.h"
#include "apps/training/prediction.h"
#include "data/set/csv.h"
#include "data/image/codec.h"
#include "engine/base/log.h"

namespace {

using namespace dura;

std::string probability_text(double p) {
  char text[16];
  std::snprintf(text, sizeof text, "%.6f", p);
  return text;
}

int predict_files(const Program& program, const std::string& model, const std::vector<std::string>& files) {
  const ModelFile file = read_model(model, {.device = program.device()});
  const auto& classes = file.model->classes();
  const int64_t size = file.preprocessing.size;
  const Preprocessing steps = file.preprocessing.steps();
  std::vector<std::string> header = {"file", "class", "probability"};
  for (const std::string& c : classes) header.push_back("p_" + c);
  std::cout << format_csv_row(header);
  // Not captured: with one picture at a time, reading the file takes longer than starting the kernels.
  InferenceStep step(*file.model, {1, size, size, 3}, false);
  step.prepare();  // a lack of memory is no fault of a picture
  int64_t bad = 0;
  for (const std::string& name : files) {
    try {
      const Image image = to_rgb(steps.slice(read_image(name)));
      const std::vector<double> logits = download_as_double(step.run(Tensor::of<uint8_t>({1, size, size, 3}, image.pixels)));
      const std::vector<double> p = softmax_rows(logits, static_cast<int64_t>(classes.size()));
      const auto best = static_cast<size_t>(std::max_element(p.begin(), p.end()) - p.begin());
      std::vector<std::string> row = {name, classes[best], probability_text(p[best])};
      for (double v : p) row.push_back(probability_text(v));
      std::cout << format_csv_row(row) << std::flush;
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      log_warning(e.what());
      ++bad;
    }
  }
  if (bad > 0) fail(bad, " of ", files.size(), " pictures could not be read; they are named above");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string model;
  std::vector<std::string> files;
  Program program({.name = "dura-predict",
                   .summary = "Classifies pictures. Prints CSV: file, class, probability, then the probability of every class.",
                   .examples = {"dura-predict --model run/model.safetensors slice.png other.jpg"},
                   .results_on_standard_output = true});
  program.text("--model", model, "Model written by dura-train", {.required = true});
  program.list("files", files, "PNG or JPEG pictures", {.required = true});
  return program.run(argc, argv, [&] { return predict_files(program, model, files); });
}
