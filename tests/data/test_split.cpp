#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "data/audit/split.h"
#include "engine/base/check.h"
#include "engine/base/random.h"

using namespace dura;

namespace {

const ClassNames classes({"Menin", "Glioma"});

// Slices of patients: each patient has one class, one hospital and 3 to 40 slices in three planes; one third of the slices are Menin.
Manifest patients(int count) {
  Random random(42);
  Manifest manifest{.name = "m.csv", .columns = {"file", "label", "patient", "plane", "hospital"}, .rows = {}};
  for (int p = 0; p < count; ++p) {
    const std::string label = p % 3 == 0 ? "Menin" : "Glioma", hospital = random.chance(0.3) ? "A" : "B";
    const int slices = 3 + static_cast<int>(random.below(38));
    for (int s = 0; s < slices; ++s)
      manifest.rows.push_back({.file = concat("p", p, "_", s, ".png"),
                               .label = label,
                               .patient = concat("P", p),
                               .extra = {s % 3 == 0   ? "ax"
                                         : s % 3 == 1 ? "co"
                                                      : "sa",
                                         hospital}});
  }
  return manifest;
}

std::vector<int64_t> all_rows(const Manifest& manifest) {
  std::vector<int64_t> rows;
  for (size_t i = 0; i < manifest.rows.size(); ++i) rows.push_back(static_cast<int64_t>(i));
  return rows;
}

SplitReport split(Manifest& manifest, const SplitOptions& options) { return assign_splits(manifest, all_rows(manifest), classes, options); }

double share(const StratumReport& s, Split which) {
  return static_cast<double>(s.rows[static_cast<size_t>(which)]) / static_cast<double>(s.rows[0] + s.rows[1] + s.rows[2]);
}

}  // namespace

TEST_CASE("single slices are divided in exactly the wanted shares of every class", "[data][split]") {
  Manifest manifest{.name = "m.csv", .columns = {"file", "label"}, .rows = {}};
  for (int i = 0; i < 500; ++i) manifest.rows.push_back({.file = concat(i, ".png"), .label = i % 5 == 0 ? "Menin" : "Glioma"});
  const SplitReport report = split(manifest, {.seed = 3, .test = 0.2, .val = 0.1, .restarts = 2});
  CHECK(report.units == 500);
  CHECK(report.strata[0].rows == std::array<int64_t, 3>{72, 8, 20});
  CHECK(report.strata[1].rows == std::array<int64_t, 3>{288, 32, 80});
  CHECK(report.largest_class_deviation < 1e-9);
}

TEST_CASE("no patient is divided and classes and columns stay balanced", "[data][split]") {
  for (uint64_t seed : {1, 2, 3}) {
    Manifest manifest = patients(90);
    const SplitReport report = split(manifest, {.seed = seed, .test = 0.2, .val = 0.15, .balance = {"plane", "hospital"}});
    CHECK(report.units == 90);
    const SplitRows rows = rows_by_split(manifest);
    CHECK(rows.left_out.empty());
    CHECK(find_leaks(manifest, rows).empty());
    CHECK(report.largest_class_deviation < 0.02);
    CHECK(report.strata.size() == 2 + 2 * 3 + 2 * 2);
    for (const StratumReport& s : report.strata) {
      CAPTURE(s.name);
      CHECK(std::abs(share(s, Split::test) - 0.2) < 0.05);
      CHECK(std::abs(share(s, Split::val) - 0.12) < 0.05);
    }
  }
}

TEST_CASE("a split depends on the seed and not on the order of the rows", "[data][split]") {
  const auto as_map = [](const Manifest& m) {
    std::set<std::pair<std::string, std::string>> files;
    for (const ManifestRow& row : m.rows) files.emplace(row.file, row.split);
    return files;
  };
  Manifest a = patients(60), b = a, other = a;
  std::reverse(b.rows.begin(), b.rows.end());
  const SplitOptions options{.seed = 9, .balance = {"plane"}};
  split(a, options);
  split(b, options);
  split(other, {.seed = 10, .balance = {"plane"}});
  CHECK(as_map(a) == as_map(b));
  CHECK(as_map(a) != as_map(other));
}

TEST_CASE("slices linked through patient or group, directly or in a chain, stay together", "[data][split]") {
  Manifest manifest = patients(40);
  manifest.columns.emplace_back("group");
  // A copy group that ties patients 0, 3 and 6 together by one slice each.
  for (ManifestRow& row : manifest.rows)
    if (row.file == "p0_0.png" || row.file == "p3_1.png" || row.file == "p6_2.png") row.group = "copies";
  const SplitReport report = split(manifest, {.seed = 5});
  CHECK(report.units == 38);
  std::set<std::string> places;
  for (const ManifestRow& row : manifest.rows)
    if (row.patient == "P0" || row.patient == "P3" || row.patient == "P6") places.insert(row.split);
  CHECK(places.size() == 1);
}

TEST_CASE("rows that are not to be divided keep their split", "[data][split]") {
  Manifest manifest = patients(30);
  manifest.rows[0].split = "web";
  std::vector<int64_t> rows = all_rows(manifest);
  rows.erase(rows.begin());
  assign_splits(manifest, rows, classes, {.seed = 1});
  CHECK(manifest.rows[0].split == "web");
  CHECK(rows_by_split(manifest).left_out.size() == 1);
}

TEST_CASE("impossible splits are refused", "[data][split]") {
  Manifest manifest = patients(30);
  CHECK_THROWS_AS(split(manifest, {.test = 1.0}), UsageError);
  CHECK_THROWS_AS(split(manifest, {.test = -0.1}), UsageError);
  CHECK_THROWS_AS(split(manifest, {.test = std::nan("")}), UsageError);
  CHECK_THROWS_AS(split(manifest, {.test = 0, .val = 0}), UsageError);
  CHECK_THROWS_WITH(split(manifest, {.balance = {"age"}}), Catch::Contains("no column 'age'"));
  Manifest one = patients(3);  // a single patient with Menin
  CHECK_THROWS_WITH(split(one, {}), Catch::Contains("class Menin has 1 patients"));
  Manifest glioma_only = patients(2);
  glioma_only.rows.erase(
      std::remove_if(glioma_only.rows.begin(), glioma_only.rows.end(), [](const ManifestRow& r) { return r.label == "Menin"; }),
      glioma_only.rows.end());
  CHECK_THROWS_WITH(split(glioma_only, {}), Catch::Contains("no row of class Menin"));
}
