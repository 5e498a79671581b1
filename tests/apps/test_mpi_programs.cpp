// The programs beside dura-train in several processes that mpirun starts: rows are shared, and so are the runs of folds and studies; the
// files are those of one process.
#include "tests/support/catch.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include "data/image/codec.h"
#include "tests/support/mpi_runs.h"
#include "tests/support/running_program.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

// Runs it alone and in so many processes, each into a folder of its own, and compares the folders. `arguments`: given the folder.
void check_same_files_for(const std::string& program, int64_t processes,
                          const std::function<std::vector<std::string>(std::string)>& arguments) {
  const TemporaryFolder out;
  std::vector<std::string> said;
  for (const int64_t p : {int64_t{1}, processes}) {
    const std::string folder = out / concat("p", p);
    fs::create_directories(folder);
    const ProgramRun run = run_in_processes(p, program, arguments(folder));
    CAPTURE(p, run.output);
    REQUIRE(run.code == 0);
    std::string text = run.output;
    for (size_t at; (at = text.find(folder)) != std::string::npos;) text.replace(at, folder.size(), "OUT");
    said.push_back(text);
  }
  CHECK(said[1] == said[0]);
  check_same_folder(out / concat("p", processes), out / "p1");
}

const std::vector<std::string> small_run = {"--depth", "18", "--size", "32", "--batch", "4", "--threads", "1", "--device", "cpu"};

}  // namespace

TEST_CASE("mpirun dura-evaluate writes and says what one process does", "[apps][evaluate][mpi]") {
  const TextureData data;
  data.folder.write("p40.png", "no picture");
  std::string manifest = contents(data.manifest());
  data.folder.write("manifest.csv", manifest + "p40.png,rare,test,P40\n");
  const TemporaryFolder models;
  const std::string one = write_initial_model(models / "one.safetensors"),
                    two = write_initial_model(models / "two.safetensors", {"rare", "usual"}, 8);
  check_same_files_for("dura-evaluate", 3, [&](const std::string& out) -> std::vector<std::string> {
    return {"--data",    data.path(),        "--model", one,          two,   "--out",         out,   "--balanced",
            "--changed", "contrast=0.7:0.7", "hflip=1", "--batch",    "3",   "--tta",         "2",   "--rare-class",
            "rare",      "--threshold",      "f1",      "--coverage", "0.8", "--temperature", "fit", "--allow-bad",
            "0.2",       "--device",         "cpu",     "--threads",  "1"};
  });
}

TEST_CASE("mpirun dura-gradcam writes and says what one process does", "[apps][gradcam][mpi]") {
  const TextureData data({.train = 0, .val = 0, .test = 13}, 2);
  data.folder.write("m4.png", "no picture");  // is not scored, and that is said once
  const TemporaryFolder models;
  const std::string one = write_initial_model(models / "one.safetensors"),
                    two = write_initial_model(models / "two.safetensors", {"rare", "usual"}, 8),
                    three = write_initial_model(models / "three.safetensors", {"rare", "usual"}, 5);
  check_same_files_for("dura-gradcam", 3, [&](const std::string& out) -> std::vector<std::string> {
    return {"--data", data.path(), "--model", one,          "--out", out,        "--batch", "2",         "--random-networks",
            "1",      "--sanity",  "3",       "--deletion", "3",     "--device", "cpu",     "--threads", "1"};
  });
  // Each model explains once more where both decide for another class than it does.
  check_same_files_for("dura-gradcam", 2, [&](const std::string& out) -> std::vector<std::string> {
    return {"--data",    data.path(), "--model", one, "--model",           two, "--model",  three, "--out",     out,
            "--enlarge", "cubic",     "--batch", "2", "--random-networks", "0", "--device", "cpu", "--threads", "1"};
  });
  fs::remove(data.folder / "m4.png");
  write_picture(data.folder, "m4.png", quarter(32 + 4, 32 + 4));
  check_same_files_for("dura-gradcam", 2, [&](const std::string& out) -> std::vector<std::string> {
    return {"--data", data.path(), "--model",           one, "--against", two,   "--audit",   "3",
            "--out",  out,         "--random-networks", "0", "--device",  "cpu", "--threads", "1"};
  });
}

TEST_CASE("processes that mpirun starts write a trace each, beginning with the same op", "[apps][trace][mpi]") {
  const TextureData data({.train = 4, .val = 3, .test = 0});
  const TemporaryFolder out;
  const ProgramRun run = run_in_processes(2, "dura-train",
                                          joined(small_run, {"--data", data.path(), "--out", out / "run", "--lanes", "2", "--phase1-epochs",
                                                             "1", "--phase2-epochs", "0", "--trace", out / "trace"}));
  CAPTURE(run.output);
  REQUIRE(run.code == 0);
  const auto ops = [](const std::string& file) {
    const std::string text = contents(file);
    return std::pair(std::count(text.begin(), text.end(), '\n'), text.substr(0, text.find(" ms=")));
  };
  CHECK(ops(out / "trace").first > 100);
  CHECK(ops(out / "trace.rank1").first > 100);
  CHECK(ops(out / "trace").second == ops(out / "trace.rank1").second);
}

TEST_CASE("mpirun dura-gradcam with files named is refused", "[apps][gradcam][mpi]") {
  const TextureData data({.train = 0, .val = 0, .test = 2});
  const TemporaryFolder out;
  const ProgramRun run = run_in_processes(
      2, "dura-gradcam", {"--model", write_initial_model(out / "m.safetensors"), "--out", out / "maps", data.folder / "p0.png"});
  CHECK(run.code == 2);
  check_said_once(run.output, "several processes share the pictures of --data");
}

TEST_CASE("mpirun dura-prepare writes and says what one process does: copies, bad files, masks, a control classifier",
          "[apps][prepare][mpi]") {
  const TextureData data({.train = 40, .val = 0, .test = 0}, 2);
  std::string manifest = "file,label,patient,mask,mm_per_pixel\n";
  for (int i = 0; i < 40; ++i)
    manifest += concat("p", i, ".png,", i % 3 == 0 ? "rare" : "usual", ",P", i, ",", i % 2 == 0 ? concat("m", i, ".png") : "", ",0.5\n");
  // A mirrored copy, the same file again, a file that is none, and a mask that is none.
  Image mirrored = read_image(data.folder / "p7.png");
  for (int64_t r = 0; r < mirrored.height; ++r) std::reverse(mirrored.row(r), mirrored.row(r) + mirrored.width);
  write_picture(data.folder, "p40.png", mirrored);
  fs::copy_file(data.folder / "p8.png", data.folder / "p41.png");
  data.folder.write("p42.png", "no picture");
  data.folder.write("m10.png", "no mask");
  manifest += "p40.png,usual,P40,,0.5\np41.png,usual,P41,,0.5\np42.png,usual,P42,,0.5\n";
  data.folder.write("table.csv", manifest);
  check_same_files_for("dura-prepare", 3, [&](const std::string& out) -> std::vector<std::string> {
    return {data.path(),
            "--manifest",
            data.folder / "table.csv",
            "--out",
            out + "/manifest.csv",
            "--json",
            out + "/prepare.json",
            "--copies",
            out + "/copies.csv",
            "--report",
            out + "/report",
            "--checked",
            out + "/checked.csv",
            "--allow-bad",
            "0.1",
            "--balance",
            "lesion_mm",
            "--threads",
            "1"};
  });
}

TEST_CASE("folds are shared out among processes and go on where a request to stop ended them", "[apps][train][folds][mpi][slow]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  const auto command = [&](const std::string& run, const std::vector<std::string>& more) {
    return joined(joined(small_run, {"--data", data.path(), "--out", out / run, "--weights", weights, "--phase1-epochs", "2",
                                     "--phase2-epochs", "4", "--unfreeze", "layer4.1+", "--augment", "light", "--folds", "3"}),
                  more);
  };
  REQUIRE(run_in_processes(1, "dura-train", command("alone", {})).code == 0);
  const ProgramRun two = run_in_processes(2, "dura-train", command("two", {}));
  CAPTURE(two.output);
  REQUIRE(two.code == 0);
  CHECK_THAT(two.output, Contains("to rank 1 on "));
  check_said_once(two.output, "scores of 3 folds");
  {
    const std::string log = out / "pieces.log", own_log = out / "pieces/fold2/log.txt";
    RunningProgram program("mpirun", mpirun_arguments(2, "dura-train", command("pieces", {})), log, Find::by_path);
    program.run_until([&] { return text_so_far(own_log).find("phase2 epoch 1/4  train loss") != std::string::npos; });
    const std::vector<pid_t> processes = children_of(program.process());
    REQUIRE(processes.size() == 2);
    kill(processes[1], SIGTERM);
    const int code = program.wait();
    CAPTURE(text_so_far(log));
    CHECK(code == 128 + SIGTERM);
    check_said_once(text_so_far(log), "Go on with the same command and --resume");
    CHECK_FALSE(fs::exists(out / "pieces/folds.json"));
  }
  const ProgramRun rest = run_in_processes(3, "dura-train", command("pieces", {"--resume"}));
  CAPTURE(rest.output);
  REQUIRE(rest.code == 0);
  for (const char* run : {"two", "pieces"})
    for (const char* fold : {"fold1", "fold2", "fold3"})
      check_same_files(out / run + "/" + fold, out / "alone" + "/" + fold, {"model.safetensors", "predictions_test.csv", "manifest.csv"});
}

TEST_CASE("whichever process of a cross-validation hangs, it is named, all end, and their runs stop as if asked to",
          "[apps][train][folds][mpi][slow]") {
  const TextureData data;
  const TemporaryFolder out;
  for (size_t victim = 0; victim < 3; ++victim) {
    const std::string run = out / concat("run", victim), log = run + ".log";
    const std::vector<std::string> folds =
        joined(small_run, {"--data", data.path(), "--out", run, "--phase1-epochs", "2", "--phase2-epochs", "400", "--patience", "0",
                           "--augment", "light", "--folds", "3", "--comm-timeout", "2"});
    RunningProgram program("mpirun", mpirun_arguments(3, "dura-train", folds), log, Find::by_path);
    const auto all_train = [&] {
      for (const char* fold : {"1", "2", "3"})
        if (text_so_far(run + "/fold" + fold + "/log.txt").find("phase2 epoch 1/400  train loss") == std::string::npos) return false;
      return true;
    };
    program.run_until(all_train);
    // Longer than a rank may be silent: those at work answer.
    const auto begin = std::chrono::steady_clock::now();
    program.run_until([&] { return std::chrono::steady_clock::now() - begin > std::chrono::seconds(victim == 0 ? 14 : 0); });
    const std::vector<pid_t> processes = children_of(program.process());
    REQUIRE(processes.size() == 3);
    std::vector<pid_t> runs;
    for (const pid_t process : processes)
      for (const pid_t child : children_of(process)) runs.push_back(child);
    REQUIRE(runs.size() == 3);
    // Each has a card of its own, where there are cards.
    for (size_t r = 0; r < runs.size(); ++r)
      CHECK_THAT(text_so_far(concat("/proc/", runs[r], "/environ")) + '\0', Contains(concat("DURA_RANK_ON_MACHINE=", r) + '\0'));
    kill(processes[victim], SIGSTOP);
    const int code = program.wait();
    const std::string said = text_so_far(log);
    CAPTURE(victim, said);
    CHECK(code == 1);
    // A second rank may wait for rank 0 as well, and speak before it is ended.
    int errors = 0;
    std::istringstream lines(said);
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("dura-train: error: ")) {
        ++errors;
        CHECK_THAT(line, Contains(concat(": rank ", victim, " on ")) && Contains(" has not answered for "));
      }
    CHECK((errors == 1 || (victim == 0 && errors == 2)));
    const auto alive = [&] { return std::any_of(runs.begin(), runs.end(), [](pid_t r) { return kill(r, 0) == 0; }); };
    for (int i = 0; i < 600 && alive(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK_FALSE(alive());
    for (const char* fold : {"1", "2", "3"}) check_said_once(text_so_far(run + "/fold" + fold + "/log.txt"), "and --resume");
  }
}

TEST_CASE("the runs of a study are shared out among processes, and its table is that of one", "[apps][study][mpi][slow]") {
  const TextureData data({.train = 36, .val = 9, .test = 8});
  const TemporaryFolder out;
  const std::vector<std::string> ladder = {
      "--data",     data.path(),       "--depth", "18", "--size",    "32", "--phase1-epochs", "1",  "--phase2-epochs", "1", "--rows",
      "0-baseline", "1-class-weights", "--seeds", "2",  "--threads", "1",  "--device",        "cpu"};
  const std::string base = out.write("base.toml", "depth = 18\nsize = 32\nphase1-epochs = 1\nphase2-epochs = 0\nbatch = 8\n");
  std::vector<std::string> settings = {"--data", data.path(), "--base", base,       "--folds", "3",         "--keep",
                                       "2",      "--threads", "1",      "--device", "cpu",     "--settings"};
  for (const char* rate : {"0.002", "0.01", "0.05"})
    settings.push_back(out.write(concat("rate", rate, ".toml"), concat("phase1-lr = ", rate, "\n")));
  settings.push_back(out.write("missing.toml", "weights = \"nowhere.safetensors\"\n"));
  for (const int64_t processes : {1, 3}) {
    const ProgramRun study = run_in_processes(processes, "dura-study", joined({"--out", out / concat("study", processes)}, ladder));
    CAPTURE(processes, study.output);
    REQUIRE(study.code == 0);
    const ProgramRun search = run_in_processes(processes, "dura-study", joined({"--out", out / concat("search", processes)}, settings));
    CAPTURE(search.output);
    REQUIRE(search.code == 0);
    check_said_once(search.output, "missing is given up");
    check_said_once(search.output, "Best by mean F1");
  }
  CHECK(lasting_cells(out / "search3/search.csv") == lasting_cells(out / "search1/search.csv"));
  for (const char* run : {"0-baseline-seed0", "0-baseline-seed1", "1-class-weights-seed1"})
    check_same_files(out / "study3" + "/" + run, out / "study1" + "/" + run, {"model.safetensors", "predictions_test.csv"});
}

TEST_CASE("a run that fails in one of several processes ends a study with one message", "[apps][study][mpi]") {
  const TextureData data({.train = 18, .val = 9, .test = 8});
  const TemporaryFolder out;
  const ProgramRun run = run_in_processes(
      2, "dura-train", joined(small_run, {"--data", data.path(), "--out", out / "run", "--folds", "3", "--unfreeze", "layer9"}));
  CAPTURE(run.output);
  CHECK(run.code == 1);
  CHECK_THAT(run.output, Contains("dura-train ended with exit code 2") && Contains("layer9") && Contains("log.txt"));
}
