// Early stopping against Keras' rule, written out here once more as a reference.
#include "tests/support/catch.h"

#include <cmath>
#include <limits>

#include "apps/training/schedule.h"
#include "engine/base/check.h"
#include "engine/base/random.h"

using namespace dura;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

struct Course {
  std::vector<int64_t> best;  // epochs that were the best so far
  int64_t stopped = -1;       // the epoch after which training stops
};

Course run(EarlyStopping& stopping, const std::vector<double>& values, size_t first = 0) {
  Course course;
  for (size_t e = first; e < values.size() && !stopping.should_stop(); ++e) {
    if (stopping.update(static_cast<int64_t>(e), values[e])) course.best.push_back(static_cast<int64_t>(e));
    if (stopping.should_stop()) course.stopped = static_cast<int64_t>(e);
  }
  return course;
}

// on_epoch_end of Keras' callback: `wait` counts before the comparison, the delta belongs to the new value, the first epoch never stops.
// NaN loses every comparison, against the initial infinity too.
Course reference(const std::vector<double>& values, bool maximise, double min_delta, int64_t patience) {
  Course course;
  double best = maximise ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
  int64_t wait = 0;
  for (size_t e = 0; e < values.size() && course.stopped < 0; ++e) {
    ++wait;
    if (maximise ? values[e] - min_delta > best : values[e] + min_delta < best) {
      best = values[e];
      wait = 0;
      course.best.push_back(static_cast<int64_t>(e));
    } else if (wait >= patience && e > 0) {
      course.stopped = static_cast<int64_t>(e);
    }
  }
  return course;
}

}  // namespace

TEST_CASE("patience 5 means five epochs without improvement", "[training]") {
  EarlyStopping stopping({.monitor = "val_loss", .patience = 5});
  const Course course = run(stopping, {1.0, 0.8, 0.9, 0.8, 0.81, 0.85, 0.9, 0.1});
  CHECK(course.best == std::vector<int64_t>{0, 1});  // an equal value is no improvement
  CHECK(course.stopped == 6);
  CHECK(stopping.best_epoch() == 1);
  CHECK(stopping.best() == 0.8);
}

TEST_CASE("the direction follows from the name of what is watched", "[training]") {
  for (const char* name : {"val_accuracy", "val_auc", "val_f1_Menin", "val_recall_Glioma", "val_precision_Menin"}) {
    EarlyStopping stopping({.monitor = name, .patience = 2});
    CHECK(run(stopping, {0.1, 0.3, 0.2}).best == std::vector<int64_t>{0, 1});
  }
  CHECK_THROWS_AS(EarlyStopping({.monitor = "val_speed"}), UsageError);
  CHECK_THROWS_AS(EarlyStopping({.monitor = "val_loss", .patience = -1}), UsageError);
  CHECK_THROWS_AS(EarlyStopping({.monitor = "val_loss", .min_delta = -0.1}), UsageError);
  CHECK_THROWS_AS(EarlyStopping({.monitor = "val_loss", .min_delta = nan_value}), UsageError);
}

TEST_CASE("early stopping takes the course of Keras' on random histories", "[training]") {
  for (uint64_t trial = 0; trial < 200; ++trial) {
    std::vector<double> values;
    for (uint64_t e = 0; e < 30; ++e) {
      const uint32_t bits = formula::philox(random_key(trial, "history"), e, 0).v[0];
      // Few distinct values, so that ties and improvements by exactly min_delta occur; now and then NaN.
      values.push_back(bits % 13 == 0 ? nan_value : static_cast<double>(bits % 16) / 8);
    }
    const bool maximise = trial % 2 == 1;
    const double min_delta = trial % 3 == 0 ? 0 : 0.125;
    const auto patience = static_cast<int64_t>(1 + trial % 6);
    EarlyStopping stopping({.monitor = maximise ? "val_auc" : "val_loss", .min_delta = min_delta, .patience = patience});
    const Course course = run(stopping, values), expected = reference(values, maximise, min_delta, patience);
    INFO("trial " << trial);
    CHECK(course.best == expected.best);
    CHECK(course.stopped == expected.stopped);
  }
}

TEST_CASE("NaN never improves", "[training]") {
  EarlyStopping stopping({.monitor = "val_loss", .patience = 3});
  const Course course = run(stopping, {nan_value, nan_value, nan_value, nan_value});
  CHECK(course.best.empty());
  CHECK(course.stopped == 2);
  CHECK(stopping.best_epoch() == -1);
  EarlyStopping later({.monitor = "val_loss", .patience = 3});
  CHECK(run(later, {nan_value, 0.5, nan_value}).best == std::vector<int64_t>{1});
}

TEST_CASE("patience 0 only remembers the best", "[training]") {
  EarlyStopping stopping({.monitor = "val_loss"});
  CHECK(run(stopping, {3, 2, 5, 5, 5, 5, 5, 5, 1, 2}).stopped == -1);
  CHECK(stopping.best_epoch() == 8);
}

TEST_CASE("a resumed run stops where the uninterrupted one does", "[training]") {
  const std::vector<double> values = {nan_value, 0.9, 0.7, 0.75, 0.71, 0.7, 0.69999, 0.8, 0.8, 0.8, 0.8};
  const EarlyStoppingOptions options{.monitor = "val_loss", .min_delta = 0.01, .patience = 5};
  EarlyStopping whole(options);
  const Course expected = run(whole, values);
  REQUIRE(expected.stopped == 7);
  for (size_t cut = 0; cut < 7; ++cut) {
    EarlyStopping before(options);
    run(before, std::vector<double>(values.begin(), values.begin() + static_cast<long>(cut)));
    EarlyStopping after(options);
    after.restore(before.state());
    CHECK(run(after, values, cut).stopped == 7);
    CHECK(after.best_epoch() == whole.best_epoch());
    CHECK(after.best() == whole.best());
    CHECK(after.state() == whole.state());
  }
  EarlyStopping other({.monitor = "val_auc", .patience = 5});
  CHECK_THROWS_AS(other.restore(whole.state()), Error);
  CHECK_THROWS_AS(whole.restore({}), Error);
  auto damaged = whole.state();
  damaged["wait"] = "three";
  CHECK_THROWS_AS(whole.restore(damaged), Error);
  damaged.erase("best_bits");
  CHECK_THROWS_AS(whole.restore(damaged), Error);
}
