#include "apps/training/history.h"

#include <cmath>
#include <cstdio>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace dura {
namespace {

std::string number(double v) {
  if (std::isnan(v)) return "NA";
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", v);
  return text;
}

// A class name as part of a column name.
std::string column(const char* what, const std::string& name) {
  std::string text = std::string(what) + "_";
  for (char c : name) text += c == ',' || c == '"' || c == ' ' || c == '\n' ? '_' : c;
  return text;
}

}  // namespace

std::vector<std::string> monitors(const std::vector<std::string>& classes) {
  std::vector<std::string> names = {"val_loss", "val_loss_weighted", "val_accuracy", "val_auc", "val_f1"};
  for (const std::string& c : classes)
    for (const char* metric : {"val_precision", "val_recall", "val_f1"}) names.push_back(column(metric, c));
  return names;
}

double EpochRecord::value(const std::string& monitor, const std::vector<std::string>& classes) const {
  if (monitor == "val_loss") return val_loss;
  if (monitor == "val_loss_weighted") return val_loss_weighted;
  if (monitor == "val_accuracy") return val.accuracy();
  if (monitor == "val_auc") return val_auc;
  if (monitor == "val_f1") {
    double sum = 0;
    for (size_t i = 0; i < classes.size(); ++i) sum += val.f1(static_cast<int64_t>(i));
    return sum / static_cast<double>(classes.size());
  }
  for (size_t i = 0; i < classes.size(); ++i) {
    const auto c = static_cast<int64_t>(i);
    if (monitor == column("val_precision", classes[i])) return val.precision(c);
    if (monitor == column("val_recall", classes[i])) return val.recall(c);
    if (monitor == column("val_f1", classes[i])) return val.f1(c);
  }
  std::string known;
  for (const std::string& name : monitors(classes)) known += " " + name;
  fail_usage("there is no value '", monitor, "' to watch. Use one of", known, ".");
}

History::History(std::filesystem::path file, std::vector<std::string> classes, int64_t keep)
    : file_(std::move(file)), classes_(std::move(classes)) {
  text_ = "phase,epoch,learning_rate,train_loss,train_loss_weighted,val_loss,val_loss_weighted,train_accuracy,val_accuracy,val_auc";
  for (const std::string& c : classes_)
    for (const char* metric : {"train_precision", "train_recall", "train_f1", "val_precision", "val_recall", "val_f1"})
      text_ += "," + column(metric, c);
  text_ += ",seconds,images_per_second,peak_memory_mib,loss_scale,skipped_steps\n";
  if (keep > 0) {
    const std::string old = read_text_file(file_, uint64_t{64} << 20);
    size_t at = old.find('\n');
    DURA_CHECK(at != std::string::npos && old.substr(0, at + 1) == text_, file_.string(),
               " has other columns than this run writes. Resume with the same classes, or begin a new run.");
    for (int64_t row = 0; row < keep; ++row) {
      at = old.find('\n', at + 1);
      DURA_CHECK(at != std::string::npos, file_.string(), " has fewer rows than the checkpoint has epochs (", keep, "). Begin a new run.");
    }
    text_ = old.substr(0, at + 1);
  }
}

void History::add(const EpochRecord& r) {
  text_ += r.phase + "," + std::to_string(r.epoch);
  for (double v : {r.learning_rate, r.train_loss, r.train_loss_weighted, r.val_loss, r.val_loss_weighted, r.train.accuracy(),
                   r.val.accuracy(), r.val_auc})
    text_ += "," + number(v);
  for (size_t i = 0; i < classes_.size(); ++i) {
    const auto c = static_cast<int64_t>(i);
    for (const Confusion* m : {&r.train, &r.val})
      for (double v : {m->precision(c), m->recall(c), m->f1(c)}) text_ += "," + number(v);
  }
  for (double v : {r.seconds, r.images_per_second, r.peak_memory_mib, r.loss_scale, static_cast<double>(r.skipped_steps)})
    text_ += "," + number(v);
  text_ += "\n";
  write_file_atomically(file_, text_);
}

}  // namespace dura
