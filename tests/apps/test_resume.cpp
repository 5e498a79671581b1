// A training run that was stopped or killed, and went on with --resume, ends with the same bytes as one that was left alone, whatever the
// number of threads.
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <set>

#include "data/set/csv.h"
#include "engine/base/file.h"
#include "tests/support/run_program.h"
#include "tests/support/running_program.h"
#include "tests/support/texture_data.h"
#include "weights/safetensors.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

constexpr int64_t phase1_epochs = 2, phase2_epochs = 3;

std::vector<std::string> training(const std::string& data, const std::string& run, const std::vector<std::string>& more) {
  std::vector<std::string> all = {"--data",          data,
                                  "--out",           run,
                                  "--depth",         "18",
                                  "--batch",         "4",
                                  "--phase1-epochs", std::to_string(phase1_epochs),
                                  "--phase2-epochs", std::to_string(phase2_epochs),
                                  "--phase2-lr",     "1e-4",
                                  "--seed",          "5",
                                  "--class-weight",  "rare=2"};
  if (std::find(more.begin(), more.end(), "--size") == more.end()) all = joined(all, {"--size", "32"});
  return joined(all, more);
}

// Lines of history.csv that are complete, the header left out.
int64_t epochs_done(const std::string& run) {
  if (!std::filesystem::exists(run + "/history.csv")) return 0;
  const std::string text = read_text_file(run + "/history.csv", 1 << 20);
  return std::count(text.begin(), text.end(), '\n') - 1;
}

// history.csv without what differs from run to run.
std::vector<std::vector<std::string>> lasting_history(const std::string& run) {
  const std::set<std::string> passing = {"seconds", "images_per_second", "peak_memory_mib"};
  const CsvTable table = parse_csv(read_text_file(run + "/history.csv", 1 << 20), "history.csv");
  std::vector<std::vector<std::string>> kept(1 + table.rows.size());
  for (size_t c = 0; c < table.header.size(); ++c) {
    if (passing.count(table.header[c])) continue;
    kept[0].push_back(table.header[c]);
    for (size_t r = 0; r < table.rows.size(); ++r) kept[r + 1].push_back(table.rows[r].fields[c]);
  }
  REQUIRE(kept.front().size() + passing.size() == table.header.size());
  return kept;
}

// Starts the run, or goes on with it, until `reached`, then sends the signal. The exit code.
int interrupt_when(const std::function<bool()>& reached, int signal, const std::vector<std::string>& arguments, const std::string& run) {
  RunningProgram program("dura-train", arguments, run + ".log");
  program.run_until(reached);
  program.interrupt(signal);
  return program.wait();
}

std::string log_of(const std::string& run) { return text_so_far(run + ".log"); }
// The line about an epoch comes when everything of it is written, so an interruption behind it falls into the next epoch.
bool says(const std::string& run, const std::string& text) { return log_of(run).find(text) != std::string::npos; }

const std::vector<std::string> halved = {"--phase2-decay", "0.5"};

// `rates`: the learning rates of the five epochs, their last steps; empty: not known beforehand.
void check_resume(const std::vector<std::string>& options, const std::vector<double>& rates = {1e-3, 1e-3, 1e-4, 5e-5, 2.5e-5},
                  int64_t masked_every = 0) {
  const TextureData data({}, masked_every);
  const TemporaryFolder out;
  const std::string whole = out / "whole", pieces = out / "pieces";
  const ProgramRun left_alone = run_program("dura-train", training(data.path(), whole, joined(options, {"--threads", "1"})));
  CAPTURE(left_alone.output);
  REQUIRE(left_alone.code == 0);
  REQUIRE(epochs_done(whole) == phase1_epochs + phase2_epochs);
  const std::vector<std::vector<std::string>> history = lasting_history(whole);
  for (size_t e = 0; e < rates.size(); ++e) CHECK(std::stod(history.at(e + 1).at(2)) == Approx(rates[e]).epsilon(1e-12));

  // Stopped politely in the middle of phase 1, killed as soon as there is a row of phase 2 (while its checkpoint is written, as a rule),
  // and killed in the middle of phase 2; with other numbers of threads each time.
  const std::vector<std::string> first = training(data.path(), pieces, joined(options, {"--threads", "2"}));
  const std::vector<std::string> again = training(data.path(), pieces, joined(options, {"--resume", "--threads", "3"}));
  CHECK(interrupt_when([&] { return says(pieces, "phase1 epoch 1/2  train loss"); }, SIGTERM, first, pieces) == 128 + SIGTERM);
  CHECK(says(pieces, "Go on with the same command and --resume"));
  // What was best so far, usable as a model.
  const StateDict best = read_safetensors(pieces + "/best_phase1.safetensors"),
                  so_far = read_safetensors(pieces + "/interrupted.safetensors");
  CHECK(so_far.metadata().count("dura.classes") == 1);
  for (const StateDict::Entry& e : best.entries()) CHECK(std::ranges::equal(so_far.at(e.name).bytes(), e.array.bytes()));
  const int64_t stopped_after = epochs_done(pieces);  // an epoch on cached features takes no time, so the next may be done too
  CHECK((stopped_after == 1 || stopped_after == phase1_epochs));
  CHECK(interrupt_when([&] { return epochs_done(pieces) > phase1_epochs; }, SIGKILL, again, pieces) == 128 + SIGKILL);
  INFO(log_of(pieces));
  CHECK(says(pieces, concat("resuming after phase1 epoch ", stopped_after)));
  // Killed between its checkpoint and its line, the first epoch has no line.
  const auto in_phase2 = [&] { return says(pieces, "phase2 epoch 1/3  train loss") || says(pieces, "phase2 epoch 2/3  train loss"); };
  CHECK(interrupt_when(in_phase2, SIGKILL, again, pieces) == 128 + SIGKILL);
  CHECK(!std::filesystem::exists(pieces + "/model.safetensors"));
  const ProgramRun rest = run_program("dura-train", joined(first, {"--resume"}));
  CAPTURE(rest.output);
  REQUIRE(rest.code == 0);
  CHECK(!std::filesystem::exists(pieces + "/interrupted.safetensors"));
  CHECK_THAT(rest.output, Contains("resuming after phase2 epoch "));

  CHECK(lasting_history(pieces) == lasting_history(whole));
  for (const char* file : {"best_phase1.safetensors", "best_phase2.safetensors", "last.safetensors", "model.safetensors"}) {
    CAPTURE(file);
    const std::string expected = read_text_file(whole + "/" + file, uint64_t{1} << 30);
    CHECK(expected.size() > 1'000'000);
    CHECK((read_text_file(pieces + "/" + file, uint64_t{1} << 30) == expected));
  }
}

}  // namespace

TEST_CASE("a resumed run is bit-equal: frozen backbone from a file, cached features of augmented pictures, oversampling", "[apps][train]") {
  const TemporaryFolder folder;
  check_resume(joined(halved, {"--weights", write_initial_model(folder / "weights.safetensors"), "--unfreeze", "layer4.1+", "--oversample",
                               "0.5", "--augment", "mission", "--augment-repeat", "2"}));
}

TEST_CASE("a resumed run is bit-equal: guided, augmented, masks for a third", "[apps][train][guide]") {
  const TemporaryFolder folder;
  check_resume(joined(halved, {"--weights", write_initial_model(folder / "weights.safetensors"), "--unfreeze", "layer4.1+", "--size", "64",
                               "--guide", "2", "--guide-phases", "both", "--monitor", "val_energy", "--augment-class", "rare=hflip=0.5"}),
               {1e-3, 1e-3, 1e-4, 5e-5, 2.5e-5}, 3);
}

TEST_CASE("a resumed run is bit-equal: plateau, AdamW, clipping, smoothed labels, mean of weights", "[apps][train]") {
  const TemporaryFolder folder;
  check_resume({"--weights",          write_initial_model(folder / "weights.safetensors"),
                "--unfreeze",         "layer4.1+",
                "--schedule",         "plateau",
                "--plateau-patience", "1",
                "--plateau-factor",   "0.1",
                "--monitor",          "val_accuracy",
                "--weight-decay",     "0.1",
                "--clip-norm",        "0.5",
                "--label-smoothing",  "0.1",
                "--average-from",     "1"},
               {});
}

TEST_CASE("a resumed run is bit-equal: cosine with warm-up", "[apps][train][slow]") {
  const TemporaryFolder folder;
  // 24 images in batches of 4: 6 steps in an epoch, the first epoch of each phase is warm-up; the rate is that of the last step.
  const auto cosine = [](double share) { return 0.5 * (1 + std::cos(3.14159265358979323846 * share)); };
  check_resume({"--weights", write_initial_model(folder / "weights.safetensors"), "--unfreeze", "layer4.1+", "--schedule", "cosine",
                "--warmup-epochs", "1"},
               {1e-3, 1e-3 * cosine(5.0 / 6), 1e-4, 1e-4 * cosine(5.0 / 12), 1e-4 * cosine(11.0 / 12)});
}

TEST_CASE("a resumed run is bit-equal: no weight file, batch statistics in phase 1, augmentation, oversampling", "[apps][train][slow]") {
  check_resume(joined(halved, {"--augment", "mission", "--augment-class", "usual=contrast=0.2", "--oversample", "0.6", "--patience", "3",
                               "--monitor", "val_auc"}));
}

TEST_CASE("a resumed run is bit-equal: lanes, class weights by their sum, augmentation", "[apps][train][lanes]") {
  const TemporaryFolder folder;
  check_resume(joined(halved, {"--weights", write_initial_model(folder / "weights.safetensors"), "--unfreeze", "layer4.1+", "--lanes", "2",
                               "--class-weight-norm", "weights", "--augment", "mission"}));
}

TEST_CASE("a resumed run is bit-equal: f16 with its loss scale", "[apps][train][slow]") {
  const TemporaryFolder folder;
  check_resume(
      joined(halved, {"--weights", write_initial_model(folder / "weights.safetensors"), "--unfreeze", "layer4.1+", "--precision", "f16"}));
}

TEST_CASE("a run resumed with another monitor, other classes or without its phase is refused", "[apps][train]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string run = out / "run", weights = write_initial_model(out / "weights.safetensors");
  const auto with = [&](const std::vector<std::string>& more) {
    return run_program(
        "dura-train",
        joined({"--data", data.path(), "--out", run, "--weights", weights, "--depth", "18", "--size", "32", "--batch", "8"}, more));
  };
  const ProgramRun first = with({"--phase1-epochs", "1", "--phase2-epochs", "0"});
  CAPTURE(first.output);
  REQUIRE(first.code == 0);
  const ProgramRun again = with({"--phase1-epochs", "1", "--phase2-epochs", "0"});
  CHECK(again.code == 2);
  CHECK_THAT(again.output, Contains("holds a run already") && Contains("--resume"));
  const ProgramRun monitor = with({"--phase1-epochs", "2", "--phase2-epochs", "0", "--resume", "--monitor", "val_auc"});
  CHECK(monitor.code == 2);
  CHECK_THAT(monitor.output, Contains("monitor: val_auc, the run has val_loss"));
  const ProgramRun classes = with({"--phase1-epochs", "2", "--phase2-epochs", "0", "--resume", "--classes", "usual", "rare"});
  CHECK(classes.code == 2);
  CHECK_THAT(classes.output, Contains("classes: [\"usual\", \"rare\"], the run has []"));
  const ProgramRun several = with({"--phase1-epochs", "2", "--phase2-epochs", "0", "--resume", "--phase1-lr", "0.5", "--seed", "3",
                                   "--precision", "f16", "--augment", "light"});
  CHECK(several.code == 2);
  for (const char* difference : {"phase1-lr: 0.5, the run has 0.001", "seed: 3, the run has 0", "precision: f16, the run has f32",
                                 "augment: light, the run has none", "choose another --out"})
    CHECK_THAT(several.output, Contains(difference));
  const ProgramRun phase = with({"--phase1-epochs", "0", "--phase2-epochs", "1", "--resume"});
  CHECK(phase.code == 1);
  CHECK_THAT(phase.output, Contains("the checkpoint is of the phase 'phase1'"));
  // A finished run has nothing left to do and ends with the same model.
  const std::string model = read_text_file(run + "/model.safetensors", uint64_t{1} << 30);
  const ProgramRun nothing = with({"--phase1-epochs", "1", "--phase2-epochs", "0", "--resume"});
  CHECK(nothing.code == 0);
  CHECK(epochs_done(run) == 1);
  CHECK((read_text_file(run + "/model.safetensors", uint64_t{1} << 30) == model));
}
