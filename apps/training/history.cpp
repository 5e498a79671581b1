#include "apps/training/history.h"

#include <cmath>

#include "apps/program/text_table.h"
#include "engine/base/check.h"
#include "engine/base/file.h"

namespace dura {
namespace {

std::string number(double v) { return std::isnan(v) ? "NA" : printed("%.17g", v); }

// A class name as part of a column name.
std::string column(const char* what, const std::string& name) {
  std::string text = std::string(what) + "_";
  for (char c : name) text += c == ',' || c == '"' || c == ' ' || c == '\n' ? '_' : c;
  return text;
}

}  // namespace

double EpochRecord::value(const std::string& monitor, const std::vector<std::string>& classes) const {
  double f1 = 0;
  for (int64_t c = 0; c < val.classes(); ++c) f1 += val.f1(c);
  std::vector<std::pair<std::string, double>> all = {{"val_loss", val_loss},
                                                     {"val_loss_weighted", val_loss_weighted},
                                                     {"val_accuracy", val.accuracy()},
                                                     {"val_auc", val_auc},
                                                     {"val_f1", f1 / static_cast<double>(val.classes())}};
  for (size_t i = 0; i < classes.size(); ++i) {
    const auto c = static_cast<int64_t>(i);
    all.insert(all.end(), {{column("val_precision", classes[i]), val.precision(c)},
                           {column("val_recall", classes[i]), val.recall(c)},
                           {column("val_f1", classes[i]), val.f1(c)}});
  }
  if (guide) all.insert(all.end(), {{"val_hit", guide->hit}, {"val_energy", guide->energy}});
  std::string known;
  for (const auto& [name, v] : all) {
    if (name == monitor) return v;
    known += " " + name;
  }
  fail_usage("there is no value '", monitor, "' to watch. Use one of", known, ".");
}

bool watches_maps(const std::string& monitor) { return monitor == "val_hit" || monitor == "val_energy"; }

History::History(std::filesystem::path file, std::vector<std::string> classes, bool guided, int64_t keep)
    : file_(std::move(file)), classes_(std::move(classes)) {
  text_ = "phase,epoch,learning_rate,train_loss,train_loss_weighted,val_loss,val_loss_weighted,train_accuracy,val_accuracy,val_auc";
  for (const std::string& c : classes_)
    for (const char* metric : {"train_precision", "train_recall", "train_f1", "val_precision", "val_recall", "val_f1"})
      text_ += "," + column(metric, c);
  text_ += ",seconds,images_per_second,peak_memory_mib,loss_scale,skipped_steps";
  text_ += guided ? ",guide_loss,val_hit,val_energy\n" : "\n";
  if (keep > 0) {
    const std::string old = read_text_file(file_, uint64_t{64} << 20);
    size_t at = old.find('\n');
    DURA_CHECK(at != std::string::npos && old.substr(0, at + 1) == text_, file_.string(),
               " has other columns than this run writes. Resume with the same classes and guide, or begin a new run.");
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
  if (r.guide)
    for (double v : {r.guide->loss, r.guide->hit, r.guide->energy}) text_ += "," + number(v);
  text_ += "\n";
  write_file_atomically(file_, text_);
}

}  // namespace dura
