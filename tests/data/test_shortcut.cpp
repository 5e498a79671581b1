// Cross tables of a column against the class, bins of a column, a picture's simple statistics, the largest extent of a lesion.
#include "tests/support/catch.h"

#include <cmath>
#include <map>
#include <set>

#include "data/audit/shortcut.h"
#include "data/image/lesion.h"
#include "data/set/manifest.h"
#include "data/audit/picture_statistics.h"

using namespace dura;

namespace {

// Rows by split: 40 train, 20 val, 20 test; every fourth is of class 0.
struct Rows {
  SplitRows splits;
  std::vector<int32_t> labels;
  Rows() {
    for (int64_t i = 0; i < 80; ++i) {
      splits.rows[static_cast<size_t>(i < 40 ? 0 : i < 60 ? 1 : 2)].push_back(i);
      labels.push_back(i % 4 == 0 ? 0 : 1);
    }
  }
  template <class ValueOf>
  CrossTable table(ValueOf value_of) const {
    std::vector<std::string> values;
    for (int64_t i = 0; i < 80; ++i) values.push_back(value_of(i));
    return cross_table("plane", values, labels, splits, 2);
  }
};

}  // namespace

TEST_CASE("a column that goes with the class is found, one that does not is not", "[data][shortcut]") {
  const Rows rows;
  const CrossTable leaky = rows.table([&](int64_t i) { return rows.labels[static_cast<size_t>(i)] ? "ax" : "sa"; });
  CHECK(leaky.balanced_accuracy == std::array<double, 3>{1, 1, 1});
  CHECK(leaky.gives_class_away(shortcut_limit));
  // Alternates within each class: two rows of either value in every eight.
  const CrossTable innocent = rows.table([](int64_t i) { return i / 4 % 2 ? "ax" : "sa"; });
  CHECK(innocent.balanced_accuracy[0] == Approx(0.5));
  CHECK(!innocent.gives_class_away(shortcut_limit));
  REQUIRE(innocent.rows.size() == 2);
  CHECK(innocent.rows[0].value == "ax");
  CHECK(innocent.rows[0].slices[0] == std::vector<int64_t>{5, 15});
}

TEST_CASE("the rule of a cross table comes from training, and counts the rare class as much as the other", "[data][shortcut]") {
  const Rows rows;
  // In training "ax" holds all of class 0 and a third of class 1; afterwards the values are exchanged.
  const CrossTable table = rows.table([&](int64_t i) { return (i % 4 == 0 || i % 4 == 1) == (i < 40) ? "ax" : "sa"; });
  CHECK(table.balanced_accuracy[0] == Approx((1 + 2.0 / 3) / 2));
  CHECK(table.balanced_accuracy[1] == Approx((0 + 1.0 / 3) / 2));
  // A value that training never had is a guess.
  const CrossTable fresh = rows.table([](int64_t i) { return i < 40 ? "old" : "new"; });
  CHECK(fresh.balanced_accuracy[2] == Approx(0.5));
  const CrossTable empty = cross_table("plane", std::vector<std::string>(80, "x"), rows.labels, SplitRows{}, 2);
  CHECK(std::isnan(empty.balanced_accuracy[0]));
}

TEST_CASE("numbers with many values are binned by quantile, texts stay as they are", "[data][shortcut]") {
  std::vector<std::string> values;
  for (int i = 0; i < 40; ++i) values.push_back(concat(i + 0.5));
  values.push_back("");
  const std::vector<std::string> bins = column_bins(values);
  std::map<std::string, int> counts;
  for (const std::string& b : bins) ++counts[b];
  CHECK(counts ==
        std::map<std::string, int>{{"0.5 to 10.5", 10}, {"10.5 to 20.5", 10}, {"20.5 to 30.5", 10}, {"30.5 to 39.5", 10}, {"unknown", 1}});
  CHECK(column_bins({"1", "2", "1"}) == std::vector<std::string>{"1", "2", "1"});
  values[3] = "7 mm";
  CHECK(column_bins(values)[3] == "7 mm");
  CHECK(column_bins(values)[0] == "0.5");
  // Half of the rows have one value: its bin is larger, and no value is in two bins.
  std::vector<std::string> tied(30, "0");
  for (int i = 1; i <= 30; ++i) tied.push_back(std::to_string(i));
  const std::vector<std::string> of_tied = column_bins(tied);
  CHECK(std::set<std::string>(of_tied.begin(), of_tied.begin() + 30).size() == 1);
  CHECK(std::set<std::string>(of_tied.begin(), of_tied.end()).size() == 3);
  CHECK_THROWS_AS(column_bins({"1"}, 1), Error);
}

TEST_CASE("a picture's statistics are what their names say", "[data][shortcut]") {
  const auto at = [](const PictureStatistics& s, const std::string& name) {
    for (size_t j = 0; j < s.size(); ++j)
      if (name == picture_statistic_names[j]) return s[j];
    FAIL(name);
    return 0.0;
  };
  // Black above, 240 below: 4 x 8.
  Image halves(4, 8, 1);
  for (int64_t r = 2; r < 4; ++r)
    for (int64_t c = 0; c < 8; ++c) halves.at(r, c) = 240;
  const PictureStatistics s = picture_statistics(halves);
  CHECK(at(s, "mean") == Approx(120));
  CHECK(at(s, "deviation") == Approx(120));
  CHECK(at(s, "skewness") == Approx(0).margin(1e-12));
  CHECK(at(s, "kurtosis") == Approx(-2));
  CHECK(at(s, "p5") == 0);
  CHECK(at(s, "median") == 0);
  CHECK(at(s, "p75") == 240);
  CHECK(at(s, "dark") == 0.5);
  CHECK(at(s, "bright") == 0.5);
  CHECK(at(s, "entropy") == Approx(1));
  CHECK(at(s, "edges") == Approx(8 * 240.0 / (4 * 7 + 3 * 8)));
  CHECK(at(s, "center_row") == Approx(0.75));
  CHECK(at(s, "center_column") == Approx(0.5));
  CHECK(at(s, "spread_row") == Approx(0.125));
  CHECK(at(s, "height") == 4);
  CHECK(at(s, "width") == 8);
  for (double v : picture_statistics(Image(1, 1, 1))) CHECK(std::isfinite(v));
  CHECK_THROWS_AS(picture_statistics(Image(2, 2, 3)), Error);
}

TEST_CASE("a lesion's largest extent is the distance of its farthest pixels", "[data][shortcut]") {
  Image mask(20, 20, 1);
  mask.at(3, 4) = mask.at(5, 9) = mask.at(15, 9) = 255;
  CHECK(measure_lesion(mask, 0.5).extent_mm == Approx((13 + 1) * 0.5));
  CHECK(measure_lesion(mask, 0).extent_mm == 0);
  Image dot(3, 3, 1);
  dot.at(1, 1) = 1;
  CHECK(measure_lesion(dot, 0.5).extent_mm == Approx(0.5));
}
