// dura-predict: pictures in, class and probability out.
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <numeric>

#include "apps/program/program.h"
#include "apps/program/text_table.h"
#include "data/set/csv.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "models/predictor.h"

namespace {

using namespace dura;

struct PredictOptions {
  std::string format = "auto";
  std::vector<std::string> models, files;
  int64_t top = 0;  // 0: as the format has it
};

std::string probability_text(double p) { return printed("%.6f", p); }

// How answers are printed. CSV, for programs: every class in the model's order, or the most probable ones by rank. Text, for people: a
// small table for each picture, the most probable classes first. With several models, also how far they disagree on the class.
class Printer {
 public:
  Printer(const PredictOptions& options, const std::vector<std::string>& classes)
      : classes_(classes), ranked_(options.top > 0), several_(options.models.size() > 1) {
    text_ = options.format == "text" || (options.format == "auto" && isatty(STDOUT_FILENO) == 1);
    constexpr int64_t usual_top = 5;
    top_ = std::min(options.top > 0 ? options.top : usual_top, std::ssize(classes));
  }

  void begin() const {
    if (text_) return;
    std::vector<std::string> header = {"file", "class", "probability"};
    if (!ranked_)
      for (const std::string& c : classes_) header.push_back("p_" + c);
    for (int64_t rank = 2; ranked_ && rank <= top_; ++rank) {
      header.push_back(concat("class_", rank));
      header.push_back(concat("probability_", rank));
    }
    if (several_) header.push_back("disagreement");
    std::cout << format_csv_row(header);
  }

  void print(const std::string& file, const std::vector<Answer>& answers) const {
    const Answer answer = mean_answer(answers);
    const std::string spread = probability_text(disagreement(answers, answer.predicted));
    std::vector<size_t> order(classes_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return answer.probabilities[a] > answer.probabilities[b]; });
    order.resize(static_cast<size_t>(top_));
    if (text_) {
      Table table = {{"class", "probability"}};
      for (const size_t c : order) table.push_back({classes_[c], probability_text(answer.probabilities[c])});
      if (several_) table.push_back({"disagreement", spread});
      std::cout << file << "\n" << text_table(table) << std::flush;
      return;
    }
    std::vector<std::string> row = {file};
    if (ranked_) {
      for (const size_t c : order) row.insert(row.end(), {classes_[c], probability_text(answer.probabilities[c])});
    } else {
      row.insert(row.end(), {classes_[static_cast<size_t>(answer.predicted)], probability_text(answer.probability)});
      for (const double p : answer.probabilities) row.push_back(probability_text(p));
    }
    if (several_) row.push_back(spread);
    std::cout << format_csv_row(row) << std::flush;
  }

 private:
  const std::vector<std::string>& classes_;
  bool ranked_, several_, text_;
  int64_t top_;
};

int predict_files(const Program& program, const PredictOptions& options) {
  std::vector<std::unique_ptr<Predictor>> models;
  for (const std::string& file : options.models) {
    // Not captured: with one picture at a time, reading the file takes longer than starting the kernels.
    models.push_back(std::make_unique<Predictor>(file, PredictorOptions{.tensors = {.device = program.device()}, .capture = false}));
    if (models.back()->classes() != models[0]->classes())
      fail_usage(file, " has other classes than ", options.models[0], ": ", joined(models.back()->classes(), ", "), " and ",
                 joined(models[0]->classes(), ", "), ". Models that answer together must have the same.");
  }
  const Printer printer(options, models[0]->classes());
  printer.begin();
  for (const auto& model : models) model->reserve();  // a lack of memory is no fault of a picture
  int64_t bad = 0;
  for (const std::string& name : options.files) {
    try {
      const Image picture = read_image(name);
      std::vector<Answer> answers;
      for (const auto& model : models) answers.push_back(model->predict(picture));
      printer.print(name, answers);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      log_warning(e.what());
      ++bad;
    }
  }
  if (bad > 0) fail(bad, " of ", options.files.size(), " pictures could not be read; they are named above");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  PredictOptions options;
  Program program({.name = "dura-predict",
                   .summary = "Classifies pictures. Prints CSV: file, class, probability, then the probability of every class. "
                              "On a terminal, a table of the most probable classes.",
                   .examples = {"dura-predict --model run/model.safetensors slice.png other.jpg",
                                "dura-predict --model run/fold1/model.safetensors --model run/fold2/model.safetensors slice.png",
                                "dura-predict --model imagenet.safetensors --top 5 --format text picture.jpg"},
                   .results_on_standard_output = true});
  program.list("--model", options.models, "Model written by dura-train or dura-convert; given several times, the mean of their answers",
               {.required = true, .one_each = true});
  program.list("files", options.files, "PNG or JPEG pictures", {.required = true});
  program.integer("--top", options.top, "Only so many classes, the most probable first; 0: all in CSV, five as text", {.min = 0});
  program.text("--format", options.format, "csv; text: a table for people; auto: text on a terminal, else csv",
               {.choices = {"auto", "csv", "text"}});
  return program.run(argc, argv, [&] { return predict_files(program, options); });
}
