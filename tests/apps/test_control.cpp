// The classifier by simple statistics: it convicts a data set whose classes differ in brightness and acquits one whose labels are random.
#include "tests/support/catch.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/report/control_classifier.h"
#include "data/audit/logistic_regression.h"
#include "engine/base/random.h"

using namespace dura;

namespace {

// Pictures of noise; those of class 0, every third, are brighter by `difference` levels.
std::array<ControlData, 3> noise(int difference, int64_t classes = 2) {
  Random random(11);
  std::array<ControlData, 3> data;
  for (int64_t i = 0; i < 900; ++i) {
    const auto label = static_cast<int32_t>(classes == 2 ? i % 3 != 0 : i % classes);
    const int base = 60 + static_cast<int>(random.below(60)) + difference * (static_cast<int>(classes) - 1 - label);
    Image image(16, 16, 1);
    for (uint8_t& v : image.pixels) v = static_cast<uint8_t>(base + static_cast<int>(random.below(20)));
    ControlData& mine = data[static_cast<size_t>(i < 600 ? 0 : i < 750 ? 1 : 2)];
    mine.statistics.push_back(picture_statistics(image));
    mine.labels.push_back(label);
  }
  return data;
}

}  // namespace

TEST_CASE("the control classifier finds classes that differ in brightness", "[training][control]") {
  const ControlReport report = control_classifier(noise(70), {"Menin", "Glioma"});
  CHECK(report.rare_class == "Menin");
  REQUIRE(report.scores.size() == 3);
  for (const ControlScore& s : report.scores) {
    CHECK(s.balanced_accuracy > 0.98);
    CHECK(s.auc > 0.99);
    CHECK(s.f1 > 0.97);
  }
  CHECK(report.scores[2].split == Split::test);
  CHECK(report.scores[2].slices == 150);
  const auto json = nlohmann::json::parse(control_json(report));
  CHECK(json["format"] == "dura control 1");
  CHECK(json["scores"][1]["split"] == "val");
  CHECK(json["weights"].size() == picture_statistic_names.size());
  CHECK_THAT(control_text(report), Catch::Contains("F1 of Menin"));
}

TEST_CASE("the control classifier finds nothing where there is nothing", "[training][control]") {
  const ControlReport report = control_classifier(noise(0), {"Menin", "Glioma"});
  for (size_t s : {size_t{1}, size_t{2}}) {
    CHECK(std::abs(report.scores[s].balanced_accuracy - 0.5) < 0.12);
    CHECK(std::abs(report.scores[s].auc - 0.5) < 0.12);
  }
}

TEST_CASE("the control classifier takes more than two classes, and splits that are empty", "[training][control]") {
  std::array<ControlData, 3> data = noise(60, 3);
  data[1] = {};
  const ControlReport report = control_classifier(data, {"a", "b", "c"});
  REQUIRE(report.scores.size() == 2);
  CHECK(report.scores[1].split == Split::test);
  // The middle class is on no side of any line, so it is often missed; the other two are found.
  CHECK(report.scores[1].balanced_accuracy > 0.6);
  CHECK_THROWS_WITH(control_classifier(data, {"a", "b", "c", "d"}), Catch::Contains("of d there are 0"));
}

TEST_CASE("logistic regression needs rows of both classes and reaches its optimum", "[training][control]") {
  const std::vector<LogisticRegression::Row> rows = {{0}, {1}, {2}, {3}};
  CHECK_THROWS_AS(LogisticRegression(rows, {1, 1, 1, 1}, 0.1), Error);
  const LogisticRegression model(rows, {0, 0, 1, 1}, 0.1);
  CHECK(model.score({1.5}) == Approx(0).margin(1e-9));
  CHECK(model.weights()[0] > 0);
  // At the optimum the penalty balances the mean residual times the feature.
  double gradient = 0.1 * model.weights()[0];
  for (size_t i = 0; i < 4; ++i)
    gradient += 0.25 * (1 / (1 + std::exp(-model.score(rows[i]))) - (i >= 2)) * (rows[i][0] - 1.5) / std::sqrt(1.25);
  CHECK(gradient == Approx(0).margin(1e-6));
}
