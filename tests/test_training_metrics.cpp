// Scores of a classifier against scikit-learn (tests/golden/make_metrics.py), and the cases that have no ordinary value.
#include <catch2/catch.hpp>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "apps/training/metrics.h"
#include "engine/check.h"

using namespace dura;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

std::map<std::string, std::vector<double>> read_values() {
  std::ifstream file(std::string(DURA_SOURCE_DIR) + "/tests/golden/metrics.txt");
  std::map<std::string, std::vector<double>> values;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    for (double v; words >> v;) values[name].push_back(v);
  }
  DURA_CHECK(values.size() == 20, "tests/golden/metrics.txt has ", values.size(), " lines");
  return values;
}

std::vector<int32_t> integers(const std::vector<double>& v) { return std::vector<int32_t>(v.begin(), v.end()); }
std::vector<bool> booleans(const std::vector<double>& v) { return std::vector<bool>(v.begin(), v.end()); }
Approx close(double v) { return Approx(v).epsilon(1e-12); }

}  // namespace

TEST_CASE("confusion matrix and the scores made of it are scikit-learn's", "[training]") {
  auto golden = read_values();
  const Confusion c = confusion_of(integers(golden["labels"]), argmax_rows(golden["logits"], 3), 3);
  CHECK(c.total() == 60);
  for (int64_t i = 0; i < 3; ++i) {
    const auto k = static_cast<size_t>(i);
    for (int64_t j = 0; j < 3; ++j) CHECK(c.count(i, j) == golden["confusion"][static_cast<size_t>(3 * i + j)]);
    CHECK(c.support(i) == golden["support"][k]);
    CHECK(c.precision(i) == close(golden["precision"][k]));
    CHECK(c.recall(i) == close(golden["recall"][k]));
    CHECK(c.f1(i) == close(golden["f1"][k]));
  }
  CHECK(c.accuracy() == close(golden["accuracy"][0]));
  CHECK(c.balanced_accuracy() == close(golden["balanced_accuracy"][0]));
}

TEST_CASE("scores of classes that never occur or are never predicted are 0, not NaN", "[training]") {
  const Confusion c = confusion_of({0, 0, 1}, {0, 0, 0}, 3);
  CHECK(c.precision(0) == close(2.0 / 3));
  CHECK(c.precision(1) == 0);
  CHECK(c.recall(1) == 0);
  CHECK(c.f1(1) == 0);
  CHECK(c.recall(2) == 0);
  CHECK(c.balanced_accuracy() == close(0.5));  // class 2 does not occur
  CHECK(Confusion(2).accuracy() == 0);
  CHECK_THROWS_AS(confusion_of({0, 1}, {0}, 2), Error);
  CHECK_THROWS_AS(Confusion(2, {1, 2, 3}), Error);
}

TEST_CASE("the first of equal values is the prediction", "[training]") {
  CHECK(argmax_rows({1, 1, 0, 2, 3, 3}, 3) == std::vector<int32_t>{0, 1});
}

TEST_CASE("log loss is exact for logits whose exponentials overflow", "[training]") {
  auto golden = read_values();
  CHECK(log_loss(integers(golden["labels"]), golden["logits"], 3) == close(golden["log_loss"][0]));
  CHECK(log_loss(integers(golden["labels"]), golden["logits"], 3, golden["weights"]) == close(golden["weighted_log_loss"][0]));
  CHECK(log_loss({1}, {0, 0}, 2) == close(std::log(2.0)));
  CHECK(log_loss({0}, {1e4, 0}, 2) == 0);
  CHECK(log_loss({1}, {1e4, 0}, 2) == close(1e4));
  CHECK(std::isnan(log_loss({}, {}, 2)));
  CHECK_THROWS_AS(log_loss({0, 1}, {0, 0}, 2), Error);
}

TEST_CASE("ROC AUC and average precision count ties as scikit-learn does", "[training]") {
  auto golden = read_values();
  for (const std::string name : {"tied", "distinct"}) {
    INFO(name);
    const std::vector<bool> positive = booleans(golden[name + "_positive"]);
    CHECK(roc_auc(positive, golden[name + "_scores"]) == close(golden[name + "_auc"][0]));
    CHECK(average_precision(positive, golden[name + "_scores"]) == close(golden[name + "_average_precision"][0]));
  }
  CHECK(roc_auc({true, false}, {0.5, 0.5}) == 0.5);
  CHECK(roc_auc({true, false, true}, {3, 2, 1}) == 0.5);
  CHECK(average_precision({true, false, true}, {3, 2, 1}) == close((1 + 2.0 / 3) / 2));
}

TEST_CASE("areas that do not exist are NaN, and scores that are NaN end in NaN instead of a hang", "[training]") {
  CHECK(std::isnan(roc_auc({true, true}, {1, 2})));
  CHECK(std::isnan(roc_auc({false}, {1})));
  CHECK(std::isnan(average_precision({false, false}, {1, 2})));
  CHECK(std::isnan(roc_auc({true, false, true}, {0.1, nan_value, 0.3})));
  CHECK(std::isnan(average_precision({true, false, true}, {0.1, nan_value, 0.3})));
  CHECK_THROWS_AS(roc_auc({true}, {1, 2}), Error);
}
