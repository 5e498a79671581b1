// What a resumed run may change, and what not.
#include "tests/support/catch.h"

#include "apps/program/run_directory.h"
#include "engine/base/check.h"

using namespace dura;
using Catch::Contains;

TEST_CASE("a setting that changes what is learnt must be that of the run, and every difference is named", "[training]") {
  const std::string saved = "phase1-lr = 0.001\nbatch = 16\nclass-weight = [\"Menin=4\"]\naugment = \"none\"\n";
  CHECK_NOTHROW(require_same_settings(saved, saved, "run/config.toml"));
  const std::string other = "phase1-lr = 0.01\nbatch = 16\nclass-weight = []\naugment = \"none\"\n";
  CHECK_THROWS_AS(require_same_settings(saved, other, "run/config.toml"), UsageError);
  CHECK_THROWS_WITH(require_same_settings(saved, other, "run/config.toml"),
                    Contains("phase1-lr: 0.01, the run has 0.001") && Contains("class-weight: [], the run has [\"Menin=4\"]") &&
                        Contains("run/config.toml") && !Contains("batch") && !Contains("augment"));
}

TEST_CASE("threads, epochs and patience may differ, and so may settings that the run's version did not have", "[training]") {
  CHECK_NOTHROW(require_same_settings(
      "threads = 1\ncache-budget = 1\nchecked = \"a\"\nphase2-epochs = 5\npatience = 3\nresume = false\n",
      "threads = 4\ncache-budget = 2\nchecked = \"off\"\nphase2-epochs = 50\npatience = 0\nresume = true\nprecision = \"f32\"\n", "c"));
}

TEST_CASE("cards' sums may go through host memory in a run that had exact ones, but not in any order", "[training]") {
  CHECK_NOTHROW(require_same_settings("device-sums = \"exact\"\n", "device-sums = \"host\"\n", "c"));
  CHECK_NOTHROW(require_same_settings("device-sums = \"host\"\n", "device-sums = \"exact\"\n", "c"));
  CHECK_THROWS_WITH(require_same_settings("device-sums = \"exact\"\n", "device-sums = \"fast\"\n", "c"), Catch::Contains("device-sums"));
}

TEST_CASE("the number of epochs may not differ where the learning rate follows a cosine over them", "[training]") {
  const std::string saved = "schedule = \"cosine\"\nphase2-epochs = 5\npatience = 3\n";
  CHECK_NOTHROW(require_same_settings(saved, "schedule = \"cosine\"\nphase2-epochs = 5\npatience = 4\n", "c"));
  CHECK_THROWS_WITH(require_same_settings(saved, "schedule = \"cosine\"\nphase2-epochs = 6\npatience = 3\n", "c"),
                    Contains("phase2-epochs: 6, the run has 5"));
}
