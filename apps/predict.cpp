// dura-predict: pictures in, class and probability out.
#include <cstdio>
#include <iostream>

#include "apps/program/program.h"
#include "data/set/csv.h"
#include "engine/base/log.h"
#include "models/predictor.h"

namespace {

using namespace dura;

std::string probability_text(double p) {
  char text[16];
  std::snprintf(text, sizeof text, "%.6f", p);
  return text;
}

int predict_files(const Program& program, const std::string& model, const std::vector<std::string>& files) {
  // Not captured: with one picture at a time, reading the file takes longer than starting the kernels.
  Predictor predictor(model, {.tensors = {.device = program.device()}, .capture = false});
  const std::vector<std::string>& classes = predictor.classes();
  std::vector<std::string> header = {"file", "class", "probability"};
  for (const std::string& c : classes) header.push_back("p_" + c);
  std::cout << format_csv_row(header);
  predictor.reserve();  // a lack of memory is no fault of a picture
  int64_t bad = 0;
  for (const std::string& name : files) {
    try {
      const Answer answer = predictor.predict(std::filesystem::path(name));
      std::vector<std::string> row = {name, classes[static_cast<size_t>(answer.predicted)], probability_text(answer.probability)};
      for (double p : answer.probabilities) row.push_back(probability_text(p));
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
