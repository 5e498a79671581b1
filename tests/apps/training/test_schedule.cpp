// Learning-rate schedules: the rate of each step, and a plateau's memory across a resume.
#include "tests/support/catch.h"

#include <cmath>
#include <limits>

#include "apps/training/train_options.h"
#include "apps/training/schedule.h"
#include "engine/base/check.h"

using namespace dura;
using Catch::Contains;
using Kind = ScheduleOptions::Kind;

TEST_CASE("decay multiplies the rate after each epoch, and by 1 leaves it", "[training]") {
  const Schedule decay({.decay = 0.5}, 1e-3, 3);
  CHECK(decay.rate(0, 0, 10) == 1e-3);
  CHECK(decay.rate(2, 9, 10) == 2.5e-4);
  CHECK(Schedule({}, 1e-3, 3).rate(2, 9, 10) == 1e-3);
}

TEST_CASE("the cosine rises by the step, is full after warm-up, half in the middle and nearly 0 at the end", "[training]") {
  const Schedule s({.kind = Kind::cosine, .warmup_epochs = 1}, 0.8, 5);
  CHECK(s.rate(0, 0, 4) == Approx(0.2));
  CHECK(s.rate(0, 1, 4) == Approx(0.4));
  CHECK(s.rate(0, 3, 4) == Approx(0.8));
  CHECK(s.rate(1, 0, 4) == Approx(0.8));
  CHECK(s.rate(2, 0, 4) == Approx(0.4 * (1 + std::sqrt(0.5))));  // a quarter of the way: cos(pi/4)
  CHECK(s.rate(3, 0, 4) == Approx(0.4));
  CHECK(s.rate(4, 3, 4) == Approx(0.4 * (1 + std::cos(15 * 3.14159265358979 / 16))));
  for (int64_t step = 4; step < 19; ++step) CHECK(s.rate(step / 4, step % 4, 4) > s.rate((step + 1) / 4, (step + 1) % 4, 4));
  CHECK_THROWS_AS(Schedule({.kind = Kind::cosine, .warmup_epochs = 5}, 0.8, 5), UsageError);
}

TEST_CASE("a plateau reduces the rate where Keras' ReduceLROnPlateau does, and goes on after a restored checkpoint", "[training]") {
  // Worked out by hand from Keras' rule with patience 2 and min_delta 1e-4: an epoch without improvement counts, the second one reduces and
  // the count begins again. 0.89995 is better than 0.9, but by too little; NaN never is better.
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> values = {1.0, 0.9, 0.89995, 0.95, 0.95, 0.7, nan, 0.8, 0.8, 0.8};
  const std::vector<int> reductions = {0, 0, 0, 1, 1, 1, 1, 2, 2, 3};
  const ScheduleOptions options{
      .kind = Kind::plateau, .plateau_factor = 0.1, .plateau = {.monitor = "val_loss", .min_delta = 1e-4, .patience = 2}};
  for (size_t resumed = 0; resumed <= values.size(); ++resumed) {
    Schedule s(options, 1.0, 10);
    int64_t before = 0;
    for (size_t e = 0; e < values.size(); ++e) {
      if (e == resumed) {
        Schedule other(options, 1.0, 10);
        other.restore(s.state());
        s = other;
      }
      CAPTURE(resumed, e);
      CHECK(s.rate(static_cast<int64_t>(e), 0, 7) == Approx(std::pow(0.1, before)));
      CHECK(s.epoch_done(static_cast<int64_t>(e), values[e]) == (reductions[e] > before));
      before = reductions[e];
    }
  }
  Schedule s(options, 1.0, 10);
  CHECK_THROWS_WITH(s.restore({}), Contains("another schedule"));
  CHECK(Schedule({}, 1.0, 10).state().empty());
}

TEST_CASE("settings of one schedule beside another are refused", "[training]") {
  OptimizerOptions o;
  o.schedule = "cosine";
  CHECK(o.schedule_of(1, "val_loss").kind == Kind::cosine);
  o.phase2_decay = 0.5;
  CHECK_THROWS_WITH(o.schedule_of(1, "val_loss"), Contains("--phase2-decay belongs to --schedule decay, not to cosine"));
  o = {};
  o.warmup_epochs = 1;
  CHECK_THROWS_WITH(o.schedule_of(1, "val_loss"), Contains("--warmup-epochs belongs to --schedule cosine"));
}
