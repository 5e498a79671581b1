// The history file: columns, full precision, and what happens to its rows when a run is resumed.
#include "tests/support/catch.h"

#include <cmath>
#include <limits>

#include "apps/training/history.h"
#include "data/set/csv.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "tests/support/temporary_folder.h"

using namespace dura;

namespace {

const std::vector<std::string> classes = {"Menin", "Glioma"};

EpochRecord record(const std::string& phase, int64_t epoch) {
  EpochRecord r{.phase = phase, .epoch = epoch, .learning_rate = 1e-3};
  r.train_loss = 0.1 + static_cast<double>(epoch);
  r.train_loss_weighted = 0.2;
  r.val_loss = 1.0 / 3;
  r.val_auc = std::numeric_limits<double>::quiet_NaN();
  r.train = Confusion(2, {3, 1, 0, 4});
  r.val = Confusion(2, {1, 1, 2, 6});
  r.images_per_second = 12.5;
  return r;
}

std::string value(const CsvTable& table, size_t row, const std::string& column) {
  for (size_t i = 0; i < table.header.size(); ++i)
    if (table.header[i] == column) return table.rows.at(row).fields.at(i);
  return "no column " + column;
}

}  // namespace

TEST_CASE("the history has a row per epoch with every digit", "[training]") {
  const TemporaryFolder folder;
  const std::string file = folder / "history.csv";
  History history(file, classes);
  history.add(record("phase1", 0));
  CHECK(parse_csv(read_text_file(file, 1 << 20), file).rows.size() == 1);  // on disk after each epoch
  history.add(record("phase1", 1));
  const CsvTable table = parse_csv(read_text_file(file, 1 << 20), file);
  REQUIRE(table.rows.size() == 2);
  CHECK(value(table, 1, "phase") == "phase1");
  CHECK(value(table, 1, "epoch") == "1");
  CHECK(std::stod(value(table, 1, "train_loss")) == 1.1);
  CHECK(std::stod(value(table, 0, "val_loss")) == 1.0 / 3);
  CHECK(value(table, 0, "val_auc") == "NA");
  CHECK(std::stod(value(table, 0, "val_precision_Menin")) == 1.0 / 3);
  CHECK(std::stod(value(table, 0, "val_recall_Glioma")) == 0.75);
  CHECK(std::stod(value(table, 0, "train_f1_Glioma")) == 8.0 / 9);
  for (const char* column : {"train_loss_weighted", "val_loss_weighted", "seconds", "images_per_second", "peak_memory_mib"})
    CHECK(value(table, 0, column).find("no column") == std::string::npos);
}

TEST_CASE("a resumed history keeps the rows of the checkpoint and no others", "[training]") {
  const TemporaryFolder folder;
  const std::string whole = folder / "whole.csv", cut = folder / "cut.csv";
  {
    History history(whole, classes);
    for (int64_t e = 0; e < 4; ++e) history.add(record("phase1", e));
  }
  {
    // The run was killed after its history had three rows and its checkpoint two.
    History history(cut, classes);
    for (int64_t e = 0; e < 3; ++e) history.add(record("phase1", e));
  }
  History resumed(cut, classes, false, 2);
  for (int64_t e = 2; e < 4; ++e) resumed.add(record("phase1", e));
  CHECK(read_text_file(cut, 1 << 20) == read_text_file(whole, 1 << 20));
  CHECK_THROWS_AS(History(cut, classes, false, 5), Error);
  CHECK_THROWS_AS(History(cut, {"Menin", "Other"}, false, 2), Error);
  CHECK_THROWS_AS(History(folder / "none.csv", classes, false, 1), Error);
}

TEST_CASE("what early stopping may watch is the history's own values", "[training]") {
  const EpochRecord r = record("phase1", 0);
  CHECK(r.value("val_loss", classes) == 1.0 / 3);
  CHECK(r.value("val_accuracy", classes) == 0.7);
  CHECK(r.value("val_f1_Glioma", classes) == Approx(0.8));
  CHECK_THROWS_AS(r.value("val_f1_Other", classes), UsageError);
  CHECK_THROWS_AS(r.value("train_loss", classes), UsageError);
  CHECK_THROWS_WITH(r.value("x", classes), Catch::Contains("val_loss val_loss_weighted val_accuracy val_auc val_f1 val_precision_Menin"));
}

TEST_CASE("class names with commas do not add columns", "[training]") {
  const TemporaryFolder folder;
  const std::string file = folder / "history.csv";
  const std::vector<std::string> odd = {"a, b", "c \"d\""};
  History history(file, odd);
  history.add(record("phase1", 0));
  CHECK(parse_csv(read_text_file(file, 1 << 20), file).rows.size() == 1);
}

TEST_CASE("val_f1 is the mean over classes", "[training]") {
  const EpochRecord r = record("phase1", 0);  // {1, 1, 2, 6}: F1 2/5 and 12/15
  CHECK(r.value("val_f1", classes) == Approx(0.6));
  CHECK(r.value("val_f1", classes) == Approx((r.value("val_f1_Menin", classes) + r.value("val_f1_Glioma", classes)) / 2));
}
