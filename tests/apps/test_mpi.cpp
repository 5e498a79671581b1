// dura-train in several processes that mpirun starts: the bytes of a run do not depend on how many there are, and what goes wrong in one
// of them ends all.
#include "tests/support/catch.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "engine/base/random.h"
#include "tests/support/mpi_runs.h"
#include "tests/support/running_program.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

std::vector<std::string> training(const std::string& data, const std::string& run, const std::vector<std::string>& more,
                                  const char* size = "32", const char* device = "cpu") {
  return joined({"--data",      data,   "--out",     run, "--depth",         "18",     "--size",          size,
                 "--batch",     "8",    "--lanes",   "4", "--phase1-epochs", "1",      "--phase2-epochs", "2",
                 "--phase2-lr", "1e-4", "--threads", "1", "--class-weight",  "rare=2", "--device",        device},
                more);
}

ProgramRun train(int64_t processes, const std::vector<std::string>& arguments) {
  return run_in_processes(processes, "dura-train", arguments);
}

void check_same_run(const std::string& found, const std::string& expected) {
  CHECK(lasting_cells(found + "/history.csv") == lasting_cells(expected + "/history.csv"));
  check_same_files(found, expected, {"best_phase1.safetensors", "best_phase2.safetensors", "last.safetensors", "model.safetensors"});
}

void check_numbers_of_processes(const std::vector<std::string>& options, int64_t masked_every = 0) {
  const TextureData data({.train = 24, .val = 9, .test = 0}, masked_every);
  const TemporaryFolder out;
  for (const int64_t processes : {1, 2, 4}) {
    const std::string run = out / concat("run", processes);
    const ProgramRun trained = train(processes, training(data.path(), run, options, masked_every > 0 ? "64" : "32"));  // maps of 2x2
    CAPTURE(processes, trained.output);
    REQUIRE(trained.code == 0);
    if (processes > 1) check_same_run(run, out / "run1");
    // One of them speaks.
    check_said_once(trained.output, "wrote " + run + "/model.safetensors");
  }
}

// Asks the last of the processes to stop, as a scheduler does at one machine (mpirun itself is left alone), when the log says this and then
// so many milliseconds have passed. Returns what was said.
std::string said_until_stopped(int64_t processes, const std::vector<std::string>& arguments, const std::string& log,
                               const std::string& line, int64_t milliseconds = 0) {
  const bool many = processes > 1;
  RunningProgram program(many ? "mpirun" : "dura-train", many ? mpirun_arguments(processes, "dura-train", arguments) : arguments, log,
                         many ? Find::by_path : Find::in_build);
  program.run_until([&] { return text_so_far(log).find(line) != std::string::npos; });
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  const std::vector<pid_t> ranks = many ? children_of(program.process()) : std::vector<pid_t>{program.process()};
  REQUIRE(std::ssize(ranks) == processes);
  kill(ranks.back(), SIGTERM);
  const int code = program.wait();
  const std::string said = text_so_far(log);
  CAPTURE(processes, said);
  CHECK(code == 128 + SIGTERM);
  CHECK_THAT(said, Contains("Go on with the same command and --resume"));
  return said;
}

}  // namespace

TEST_CASE("1, 2 and 4 processes make the same bytes: frozen backbone, cached features", "[apps][train][mpi]") {
  const TemporaryFolder folder;
  check_numbers_of_processes({"--weights", write_initial_model(folder / "weights.safetensors"), "--unfreeze", "layer4.1+"});
}

TEST_CASE("1, 2 and 4 processes make the same bytes: batch statistics, augmentation, weights by their sum", "[apps][train][mpi][slow]") {
  check_numbers_of_processes({"--augment", "mission", "--class-weight-norm", "weights"});
}

TEST_CASE(
    "in f32, bf16 and f16 a run has the same bytes alone, on 4 processes, and stopped on 2 and resumed on 4, and so have its predictions",
    "[apps][train][mpi][slow]") {
  const TextureData data({.train = 24, .val = 9, .test = 8});
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  for (const std::string precision : {"f32", "bf16", "f16"}) {
    const std::vector<std::string> options = {"--weights",       weights,       "--unfreeze",  "layer4.1+", "--augment",        "mission",
                                              "--augment-class", "usual=light", "--precision", precision,   "--feature-budget", "0"};
    const auto run_of = [&](const char* name) { return out / (precision + name); };
    const auto finish = [&](const char* name, int64_t processes, const std::vector<std::string>& more) {
      const ProgramRun run = train(processes, training(data.path(), run_of(name), joined(options, more)));
      CAPTURE(precision, name, run.output);
      REQUIRE(run.code == 0);
    };
    finish("alone", 1, {});
    finish("four", 4, {});
    said_until_stopped(2, training(data.path(), run_of("stopped"), options), run_of("stopped.log"), "phase1 epoch 1/1  train loss");
    finish("stopped", 4, {"--resume"});
    for (const char* name : {"four", "stopped"}) check_same_run(run_of(name), run_of("alone"));
    if (precision == "f16") {  // its first loss scale is too large: steps are skipped, by all
      const CsvTable history = parse_csv(contents(run_of("alone") + "/history.csv"), "history.csv");
      const auto column = std::find(history.header.begin(), history.header.end(), "skipped_steps") - history.header.begin();
      CHECK(history.rows.back().fields.at(static_cast<size_t>(column)) != "0");
    }
    for (const auto& [name, processes] : {std::pair{"alone", 1}, {"four", 2}, {"stopped", 1}}) {
      const ProgramRun scored =
          run_in_processes(processes, "dura-evaluate",
                           {"--data", data.path(), "--model", run_of(name) + "/model.safetensors", "--out", run_of(name), "--batch", "4",
                            "--threads", "1", "--device", "cpu", "--precision", precision});
      CAPTURE(scored.output);
      REQUIRE(scored.code == 0);
      check_same_files(run_of(name), run_of("alone"), {"predictions_test.csv"});
    }
  }
}

// Few of the slices have a lesion, so that lanes differ in how many they have.
TEST_CASE("1, 2 and 4 processes make the same bytes: a guide with augmented masks, which early stopping watches", "[apps][train][mpi]") {
  const TemporaryFolder folder;
  check_numbers_of_processes({"--weights", write_initial_model(folder / "weights.safetensors"), "--unfreeze", "layer4.1+", "--guide", "2",
                              "--guide-phases", "both", "--monitor", "val_hit", "--augment", "mission"},
                             3);
}

TEST_CASE("1, 2 and 4 processes make the same bytes on the simulated CUDA device, whose memories add without the host's",
          "[apps][train][mpi][cuda-sim][slow]") {
  const TextureData data({.train = 16, .val = 8, .test = 0});
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  const auto run = [&](const std::string& name, int64_t processes, const char* sums) {
    const ProgramRun trained =
        train(processes,
              training(data.path(), out / name,
                       {"--weights", weights, "--unfreeze", "layer4.1+", "--precision", "f16", "--device-sums", sums}, "32", "cuda-sim"));
    CAPTURE(name, trained.output);
    REQUIRE(trained.code == 0);
  };
  run("one", 1, "exact");
  run("two", 2, "exact");
  run("four", 4, "exact");
  run("host", 2, "host");
  run("fast", 2, "fast");  // of two ranks' numbers there is one order
  for (const char* name : {"two", "four", "host", "fast"}) {
    CAPTURE(name);
    check_same_run(out / name, out / "one");
  }
}

TEST_CASE("on the simulated CUDA device two processes with augmentation stop, and one goes on with the same bytes, in f32 and bf16",
          "[apps][train][mpi][cuda-sim][slow]") {
  const TextureData data({.train = 8, .val = 4, .test = 0});
  const TemporaryFolder out;
  for (const std::string precision : {"f32", "bf16"}) {
    const std::string whole = out / precision, pieces = out / concat(precision, "_pieces");
    const auto command = [&](const std::string& run, const std::vector<std::string>& more) {
      return training(data.path(), run, joined({"--precision", precision, "--augment", "strong"}, more), "32", "cuda-sim");
    };
    REQUIRE(train(1, command(whole, {})).code == 0);
    said_until_stopped(2, command(pieces, {}), pieces + ".log", "phase1 epoch 1/1  train loss");
    const ProgramRun rest = train(1, command(pieces, {"--resume"}));
    CAPTURE(precision, rest.output);
    REQUIRE(rest.code == 0);
    check_same_run(pieces, whole);
  }
}

TEST_CASE("what is remembered and kept of pictures changes no byte of a run, by one process or two", "[apps][train][mpi]") {
  const TextureData data({.train = 24, .val = 9, .test = 0});
  data.folder.write("p3.png", "no picture");
  const TemporaryFolder out;
  const auto run = [&](const std::string& name, int64_t processes, const std::vector<std::string>& options) {
    const ProgramRun trained =
        train(processes, training(data.path(), out / name, joined({"--allow-bad", "0.1", "--augment", "light"}, options)));
    CAPTURE(name, trained.output);
    REQUIRE(trained.code == 0);
    CHECK_THAT(trained.output, Contains("p3.png"));
  };
  const std::string record = out / "record.csv", hidden = data.folder / ".checked_pictures.csv";
  run("plain", 1, {"--checked", "off"});
  CHECK_FALSE(std::filesystem::exists(hidden));
  run("first", 2, {"--checked", record, "--cache-budget", "0"});
  const std::string text = read_text_file(record, 1 << 20);
  CHECK(std::count(text.begin(), text.end(), '\n') == 34);  // a line each, and their names
  run("second", 2, {"--checked", record});
  CHECK(read_text_file(record, 1 << 20) == text);
  run("third", 1, {"--cache-budget", "0"});
  CHECK(read_text_file(hidden, 1 << 20) == text);
  for (const char* name : {"first", "second", "third"}) check_same_run(out / name, out / "plain");
}

TEST_CASE("a request to stop at one process stops all, and another number of them goes on with the same bytes", "[apps][train][mpi]") {
  const TextureData data({.train = 24, .val = 9, .test = 0});
  const TemporaryFolder out;
  const std::string whole = out / "whole", pieces = out / "pieces";
  const std::vector<std::string> options = {"--augment", "light"};
  REQUIRE(train(1, training(data.path(), whole, options)).code == 0);
  said_until_stopped(2, training(data.path(), pieces, options), pieces + ".log", "phase2 epoch 1/2  train loss");
  const ProgramRun rest = train(4, training(data.path(), pieces, joined(options, {"--resume"})));
  CAPTURE(rest.output);
  REQUIRE(rest.code == 0);
  check_same_run(pieces, whole);
}

TEST_CASE("a request to stop is heeded between two batches of features, and of validation, by one process and by two",
          "[apps][train][mpi][slow]") {
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  for (const bool of_features : {true, false}) {
    const TextureData data({.train = of_features ? 800 : 16, .val = of_features ? 8 : 800, .test = 0});
    const auto command = [&](const std::string& run, const std::vector<std::string>& more) {
      std::vector<std::string> all = {"--data",   data.path(), "--out",           run, "--depth",   "18", "--size",          "64",
                                      "--batch",  "8",         "--lanes",         "4", "--threads", "1",  "--phase1-epochs", "2",
                                      "--device", "cpu",       "--phase2-epochs", "0"};
      if (of_features) all.insert(all.end(), {"--weights", weights});
      return joined(all, more);
    };
    const std::string name = of_features ? "features" : "validation", whole = out / name;
    REQUIRE(train(1, command(whole, {})).code == 0);
    for (const int64_t processes : {1, 2}) {
      const std::string run = concat(whole, processes);
      const std::string said = said_until_stopped(processes, command(run, {}), run + ".log",
                                                  of_features ? "augmentation: " : "phase1 epoch 1/2  train loss", 600);
      CAPTURE(said);
      // Of the second epoch nothing is kept: the request came in its validation.
      if (of_features)
        CHECK_FALSE(std::filesystem::exists(run + "/history.csv"));
      else
        CHECK(parse_csv(contents(run + "/history.csv"), "history.csv").rows.size() == 1);
      CHECK(said.find("features of 800 pictures") == std::string::npos);
      const ProgramRun rest = train(3 - processes, command(run, {"--resume"}));
      CAPTURE(rest.output);
      REQUIRE(rest.code == 0);
      CHECK(lasting_cells(run + "/history.csv") == lasting_cells(whole + "/history.csv"));
      check_same_files(run, whole, {"best_phase1.safetensors", "last.safetensors", "model.safetensors"});
    }
  }
}

TEST_CASE("processes that are killed at any time leave a run that goes on with the same bytes, fifty times", "[apps][train][mpi][slow]") {
  const TextureData data({.train = 24, .val = 9, .test = 0});
  const TemporaryFolder out;
  const std::string whole = out / "whole";
  const std::vector<std::string> options = {"--augment", "light"};
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(train(2, training(data.path(), whole, options)).code == 0);
  const std::chrono::duration<double> takes = std::chrono::steady_clock::now() - begin;
  Random random(random_key(17, "kills"));
  // A kill counts where the run was not done yet; one that is done is compared, and the next one begins.
  int kills = 0, done = 0;
  std::string run = out / "run0";
  for (int round = 0; kills < 50 && round < 300; ++round) {
    const std::string log = out / concat("round", round, ".log");
    const std::vector<std::string> arguments = training(data.path(), run, joined(options, {"--resume"}));
    RunningProgram program("mpirun", mpirun_arguments(random.chance(0.5) ? 2 : 4, "dura-train", arguments), log, Find::by_path);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(random.uniform() * takes.count());
    program.run_until([&] { return std::chrono::steady_clock::now() > end; });
    const std::vector<pid_t> processes = children_of(program.process());
    const bool kill_one = !processes.empty() && !std::filesystem::exists(run + "/model.safetensors");
    if (kill_one) kill(processes[random.below(processes.size())], SIGKILL);
    const int code = program.wait();
    const std::string said = text_so_far(log);
    CAPTURE(round, said);
    // The last of those that were killed may still hold the run directory for a moment.
    if (said.find("is the run directory of ") != std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      continue;
    }
    if (code == 0) {
      check_same_run(run, whole);
      run = out / concat("run", ++done);
    } else if (kill_one) {
      CHECK(code == 128 + SIGKILL);
      CHECK_THAT(said, Contains("signal 9"));
      ++kills;
    }
  }
  CHECK(kills == 50);
  CHECK(done > 0);
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const ProgramRun rest = train(2, training(data.path(), run, joined(options, {"--resume"})));
  CAPTURE(rest.output);
  REQUIRE(rest.code == 0);
  check_same_run(run, whole);
}

TEST_CASE("what is wrong with one process or with all of them is said once and ends all", "[apps][train][mpi]") {
  const TextureData data({.train = 24, .val = 9, .test = 0});
  const TemporaryFolder out;
  const std::string run = out / "run";
  // All: lanes that three cannot share.
  const ProgramRun three = train(3, training(data.path(), run, {}));
  CAPTURE(three.output);
  CHECK(three.code == 2);
  CHECK_THAT(three.output, Contains("dura-train: error: rank 0 on ") && Contains("--lanes 4 cannot be shared by 3 processes"));
  CHECK(three.output.find("cannot be shared") == three.output.rfind("cannot be shared"));
  // One: another seed, as on a machine with another configuration file.
  const std::string program = build_folder() + "/apps/dura-train";
  const std::vector<std::string> first = joined({"-np", "1", program}, training(data.path(), out / "other", {"--seed", "1"}));
  const std::vector<std::string> second = joined({":", "-np", "1", program}, training(data.path(), out / "other", {"--seed", "2"}));
  const ProgramRun two = run_found_program("mpirun", joined(joined({"--allow-run-as-root", "--oversubscribe"}, first), second));
  CAPTURE(two.output);
  CHECK(two.code == 1);
  CHECK_THAT(two.output, Contains("rank 1 on ") && Contains("has another --seed: 2, rank 0 on ") && Contains("has 1"));
  CHECK(two.output.find("has another") == two.output.rfind("has another"));
  // One: a manifest of the same name with a row less, as on a machine with an older copy.
  const TemporaryFolder here, there;
  for (const TemporaryFolder* folder : {&here, &there})
    std::filesystem::copy(data.path(), *folder / "data", std::filesystem::copy_options::recursive);
  const std::string manifest = read_text_file(here / "data/manifest.csv", 1 << 20);
  there.write("data/manifest.csv", manifest.substr(0, manifest.rfind('\n', manifest.size() - 2) + 1));
  const auto at = [&](const TemporaryFolder& folder) {
    return joined({"-np", "1", "-wdir", folder / "", program}, training("data", run + "-of-two", {}));
  };
  const ProgramRun older =
      run_found_program("mpirun", joined(joined({"--allow-run-as-root", "--oversubscribe"}, at(here)), joined({":"}, at(there))));
  CAPTURE(older.output);
  CHECK(older.code == 1);
  CHECK_THAT(older.output, Contains("rank 1 on ") && Contains("has another manifest_sha256: "));
}

TEST_CASE("whichever of four processes hangs, it is named and nobody else", "[apps][train][mpi][slow]") {
  const TextureData data({.train = 24, .val = 9, .test = 0});
  const TemporaryFolder out;
  for (size_t victim = 0; victim < 4; ++victim) {
    const std::string run = out / concat("run", victim);
    RunningProgram program("mpirun",
                           mpirun_arguments(4, "dura-train", training(data.path(), run, {"--comm-timeout", "3", "--augment", "light"})),
                           run + ".log", Find::by_path);
    program.run_until([&] { return text_so_far(run + ".log").find("phase2 epoch 1/2  train loss") != std::string::npos; });
    const std::vector<pid_t> processes = children_of(program.process());
    REQUIRE(processes.size() == 4);
    kill(processes[victim], SIGSTOP);
    const int code = program.wait();
    const std::string log = text_so_far(run + ".log");
    CAPTURE(victim, log);
    CHECK(code == 1);
    // A second rank may wait for the same one, and speak before it is ended.
    int errors = 0;
    std::istringstream lines(log);
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("dura-train: error: ")) {
        ++errors;
        CHECK_THAT(line, Contains(concat(": rank ", victim, " on ")) && Contains(" has not answered for "));
      }
    CHECK((errors == 1 || errors == 2));
  }
}

TEST_CASE("a process that hangs is given up, named with its host", "[apps][train][mpi]") {
  const TextureData data({.train = 24, .val = 9, .test = 0});
  const TemporaryFolder out;
  const std::string run = out / "run";
  RunningProgram program("mpirun",
                         mpirun_arguments(2, "dura-train", training(data.path(), run, {"--comm-timeout", "3", "--augment", "light"})),
                         run + ".log", Find::by_path);
  program.run_until([&] { return text_so_far(run + ".log").find("phase2 epoch 1/2  train loss") != std::string::npos; });
  const std::vector<pid_t> processes = children_of(program.process());
  REQUIRE(processes.size() == 2);
  kill(processes[1], SIGSTOP);
  const int code = program.wait();
  const std::string log = text_so_far(run + ".log");
  CAPTURE(log);
  CHECK(code == 1);
  CHECK_THAT(log, Contains("dura-train: error: rank 0 on ") && Contains(": rank 1 on ") && Contains(" has not answered for "));
  CHECK(std::filesystem::exists(run + "/last.safetensors"));
}

TEST_CASE("processes that wait for each other, as those that do not do the same work, end with a message that says so",
          "[comm][mpi][slow]") {
  const ProgramRun run =
      run_found_program("mpirun", {"--allow-run-as-root", "--oversubscribe", "-np", "3", build_folder() + "/tests/programs/rank_cycle",
                                   build_folder() + "/apps/libdura_mpi.so", "1"});
  CAPTURE(run.output);
  CHECK(run.code == 1);
  int errors = 0;
  std::istringstream lines(run.output);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("rank_cycle: error: ")) continue;
    ++errors;
    CHECK_THAT(line, Contains(" lives and waits as well, after ") && Contains("The ranks wait for each other"));
  }
  CHECK(errors > 0);
}
