// What a user may get wrong: each case stops before work starts, with exit code 2 for bad use and 1 for bad files, and one message that
// names the thing. Only a bad picture does not stop a run while such pictures are few.
#include "tests/support/catch.h"

#include <signal.h>
#include <sys/resource.h>

#include <filesystem>

#include "engine/base/file.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"
#include "tests/support/weight_files.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

struct Case {
  std::vector<std::string> arguments;
  int code;
  std::string message;
};

void check_stops(const std::string& program, const std::vector<std::string>& common, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const ProgramRun run = run_program(program, joined(common, c.arguments));
    CAPTURE(c.arguments, run.output);
    CHECK(run.code == c.code);
    CHECK_THAT(run.output, Contains(program + ": error: ") && Contains(c.message));
    // One message, not a list of consequences.
    const std::string mark = ": error: ";
    CHECK(run.output.find(mark) == run.output.rfind(mark));
    CHECK_THAT(run.output, !Contains(" epoch "));
  }
}

struct Training {
  TextureData data;
  TemporaryFolder out;
  std::vector<std::string> common(const std::string& folder = "") const {
    return {"--data",          folder.empty() ? data.path() : folder,
            "--out",           out.path() + "/run",
            "--size",          "32",
            "--batch",         "4",
            "--phase1-epochs", "1",
            "--phase2-epochs", "1"};
  }
};

// A copy of the manifest with one piece of text replaced.
std::string replaced(const TextureData& data, const std::string& from, const std::string& to) {
  std::string text = read_text_file(data.manifest(), 1 << 20);
  const size_t at = text.find(from);
  DURA_CHECK(at != std::string::npos, "the manifest has no ", from);
  return data.folder.write("replaced.csv", text.replace(at, from.size(), to));
}

}  // namespace

TEST_CASE("train stops on nonsense options before any work", "[apps][train]") {
  const Training t;
  check_stops("dura-train", {"--data", t.data.path(), "--out", t.out / "run", "--size", "32"},
              {
                  {{"--batch", "0"}, 2, "--batch is 0"},
                  {{"--batch", "four"}, 2, "--batch"},
                  {{"--phase1-lr", "-1"}, 2, "--phase1-lr is -1"},
                  {{"--phase2-lr", "nan"}, 2, "--phase2-lr"},
                  {{"--dropout", "1"}, 2, "--dropout is 1"},
                  {{"--adam-eps", "0"}, 2, "--adam-eps is 0"},
                  {{"--label-smoothing", "1"}, 2, "--label-smoothing is 1"},
                  {{"--clip-norm", "-1"}, 2, "--clip-norm is -1"},
                  {{"--weight-decay", "-0.1"}, 2, "--weight-decay is -0.1"},
                  {{"--schedule", "steps"}, 2, "--schedule"},
                  {{"--schedule", "cosine", "--warmup-epochs", "99"}, 2, "--warmup-epochs 99 leaves nothing"},
                  {{"--schedule", "plateau", "--phase2-decay", "0.5"}, 2, "--phase2-decay belongs to --schedule decay"},
                  {{"--seed", "-1"}, 2, "--seed is -1"},
                  {{"--patience", "-1"}, 2, "--patience is -1"},
                  {{"--augment", "wild"}, 2, "wild"},
                  {{"--phase1-epochs", "0", "--phase2-epochs", "0"}, 2, "both 0"},
                  {{"--depth", "19"}, 2, "19"},
                  {{"--depth", "18", "--unfreeze", "layer9"}, 2, "layer9"},
                  {{"--depth", "18", "--unfreeze", "150%convs"}, 2, "150%convs"},
                  {{"--depth", "18", "--monitor", "val_happiness"}, 2, "val_happiness"},
                  {{"--depth", "18", "--monitor", "val_f1_Bogus"}, 2, "val_f1_Bogus"},
                  {{"--depth", "18", "--class-weight", "Bogus=2"}, 2, "Bogus"},
                  {{"--depth", "18", "--class-weight", "rare=0"}, 2, "rare"},
                  {{"--depth", "18", "--class-weight", "rare=2", "rare=3"}, 2, "rare"},
                  {{"--depth", "18", "--augment", "mission", "--rare-class", "Bogus"}, 2, "Bogus"},
                  {{"--depth", "18", "--rare-class", "Bogus"}, 2, "Bogus"},
                  {{"--depth", "18", "--augment-class", "rare=rotate=5"}, 2, "there is no 'rotate'"},
                  {{"--depth", "18", "--augment-class", "rare=light", "rare=strong"}, 2, "rare is given twice"},
                  {{"--depth", "18", "--oversample", "1"}, 2, "--oversample is 1"},
                  {{"--depth", "18", "--oversample", "half"}, 2, "--oversample is half"},
                  {{"--depth", "18", "--sheet", "sheet.png", "--augment-class", "Bogus=light"}, 2, "Bogus"},
                  {{"--depth", "18", "--classes", "rare"}, 2, "class"},
                  {{"--speed", "9"}, 2, "--speed"},
                  {{"--device", "abacus"}, 2, "abacus"},
              });
  // None of them left a run behind that would be in the way of the next try.
  CHECK(!std::filesystem::exists(t.out / "run/run.json"));
  check_stops("dura-train", {"--out", t.out / "other"}, {{{}, 2, "--data"}});
}

TEST_CASE("programs that need splits say what makes them where a folder has none", "[apps]") {
  const Training t;
  const TemporaryFolder folder;  // a folder per class, no manifest
  for (const char* name : {"rare/1.png", "usual/1.png"}) write_picture(folder, name, texture(1, true, 32, 32));
  const std::vector<std::string> data = {"--data", folder.path(), "--out", t.out / "run"};
  const std::string message = "has no rows in the split 'train'. dura-prepare " + folder.path() + " --split new";
  check_stops("dura-train", data, {{{}, 1, message}, {{"--folds", "3"}, 1, message}});
  check_stops("dura-study", data, {{{}, 1, message}});
  CHECK(!std::filesystem::exists(t.out.path() + "/run/fold1"));
}

TEST_CASE("options of computing are refused where nothing is computed, and traces where others compute", "[apps]") {
  const Training t;
  for (const char* program : {"dura-report", "dura-compare", "dura-prepare", "dura-convert", "dura-inspect", "dura-phantom"})
    for (const char* option : {"--device", "--trace"}) check_stops(program, {}, {{{option, "cpu"}, 2, option}});
  check_stops("dura-study", {"--data", t.data.path(), "--out", t.out / "study"},
              {{{"--trace", t.out / "trace"}, 2, "would write over the file"}});
  check_stops("dura-train", {"--data", t.data.path(), "--out", t.out / "run", "--folds", "3"},
              {{{"--trace", t.out / "trace"}, 2, "would write over the file"}});
}

TEST_CASE("train stops on run directories that it cannot use", "[apps][train]") {
  const Training t;
  t.out.write("file", "x");
  t.out.write("held/run.json", "{}");
  check_stops("dura-train", {"--data", t.data.path(), "--depth", "18", "--size", "32"},
              {
                  {{"--out", "/proc/nowhere/run"}, 1, "/proc/nowhere/run"},
                  {{"--out", t.out / "file"}, 1, t.out / "file"},
                  {{"--out", t.out / "held"}, 2, "holds a run already"},
              });
  CHECK(read_text_file(t.out / "held/run.json", 100) == "{}");
}

TEST_CASE("train stops on data that cannot be trained on", "[apps][train]") {
  const Training t;
  const TemporaryFolder empty;
  check_stops("dura-train", t.common(empty.path()), {{{}, 1, "no PNG or JPEG"}});
  check_stops("dura-train", t.common(empty.path() + "/missing"), {{{}, 1, "missing"}});
  std::string no_val = read_text_file(t.data.manifest(), 1 << 20);
  for (size_t at; (at = no_val.find(",val,")) != std::string::npos;) no_val.replace(at, 5, ",test,");
  std::string usual = read_text_file(t.data.manifest(), 1 << 20);
  for (size_t at; (at = usual.find(",rare,")) != std::string::npos;) usual.replace(at, 6, ",usual,");
  const std::string one_class = t.data.folder.write("one_class.csv", usual);
  const std::string without_val = t.data.folder.write("no_val.csv", no_val);
  check_stops("dura-train", t.common(),
              {
                  {{"--manifest", without_val}, 1, "no rows in the split 'val'"},
                  {{"--manifest", replaced(t.data, "p24.png,rare,val,P24", "p24.png,rare,val,P3")}, 1, "patient P3 is in"},
                  {{"--manifest", one_class}, 1, "one class only, 'usual'"},
                  {{"--classes", "rare", "Bogus"}, 1, "usual"},
                  {{"--classes", "rare", "usual", "Bogus"}, 1, "Bogus"},
                  {{"--manifest", t.data.path() + "/none.csv"}, 1, "none.csv"},
              });
  // The leak may be allowed; then it is named.
  const ProgramRun allowed = run_program(
      "dura-train",
      joined(t.common(), {"--manifest", replaced(t.data, "p24.png,rare,val,P24", "p24.png,rare,val,P3"), "--allow-leak", "--depth", "18"}));
  CAPTURE(allowed.output);
  CHECK(allowed.code == 0);
  CHECK_THAT(allowed.output, Contains("warning: leak allowed: patient P3"));
}

TEST_CASE("train stops on weight files that do not fit", "[apps][train]") {
  const Training t;
  const std::string weights = write_initial_model(t.out / "weights.safetensors"), text = t.out.write("text.pth", "hello");
  const std::string whole = read_text_file(weights, uint64_t{1} << 30),
                    cut = t.out.write("cut.safetensors", whole.substr(0, whole.size() - 4000));
  check_stops("dura-train", t.common(),
              {
                  {{"--weights", cut}, 1, "cut.safetensors"},
                  {{"--weights", text}, 1, "text.pth"},
                  {{"--weights", t.out / "none.pth"}, 1, "none.pth"},
                  {{"--weights", golden("foreign.pth").string()}, 1, "posix.system"},
                  {{"--weights", weights, "--depth", "50"}, 1, "another architecture"},
              });
}

TEST_CASE("train stops with one message when the disk is full, and the run can be resumed", "[apps][train]") {
  const Training t;
  const std::string run = t.out / "run";
  std::vector<std::string> arguments = {
      "--data",          t.data.path(), "--out",           run,
      "--depth",         "18",          "--size",          "32",
      "--batch",         "8",           "--phase1-epochs", "1",
      "--phase2-epochs", "0",           "--weights",       write_initial_model(t.out / "weights.safetensors")};
  // A limit on the size of files, inherited by the program, stands for a disk without room: the small files fit, the model does not.
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit small{.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const ProgramRun full = run_program("dura-train", arguments);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  CAPTURE(full.output);
  CHECK(full.code == 1);
  CHECK_THAT(full.output, Contains("dura-train: error: ") && Contains("best_phase1.safetensors"));
  CHECK(std::filesystem::exists(run + "/run.json"));
  for (const auto& entry : std::filesystem::directory_iterator(run)) {
    CAPTURE(entry.path());
    CHECK(entry.file_size() < 100'000);  // no half of a model, under its name or another
  }
  arguments.push_back("--resume");
  CHECK(run_program("dura-train", arguments).code == 0);
  CHECK(std::filesystem::exists(run + "/model.safetensors"));
}

TEST_CASE("evaluate, predict and gradcam stop on models and options that do not fit", "[apps]") {
  const Training t;
  const std::string model = write_initial_model(t.out / "model.safetensors"), weights = golden("module.safetensors").string();
  const std::string whole = read_text_file(model, uint64_t{1} << 30),
                    cut = t.out.write("cut.safetensors", whole.substr(0, whole.size() / 2));
  const std::string picture = t.data.path() + "/p0.png", out = t.out / "out";
  const std::vector<std::string> evaluate = {"--data", t.data.path(), "--out", out};
  check_stops("dura-evaluate", evaluate,
              {
                  {{"--model", model, "--classes", "usual", "rare"}, 2, "rare, usual in this order"},
                  {{"--model", model, "--classes", "rare", "usual", "third"}, 2, "rare, usual in this order"},
                  {{"--model", model, "--split", "holdout"}, 2, "holdout"},
                  {{"--model", cut}, 1, "cut.safetensors"},
                  {{"--model", weights}, 1, "A model written by dura-train is expected"},
                  {{"--model", t.out / "none.safetensors"}, 1, "none.safetensors"},
                  {{}, 2, "--model"},
                  {{"--model", model, "--batch", "0"}, 2, "--batch is 0"},
              });
  check_stops("dura-evaluate", {"--data", t.data.path(), "--model", model}, {{{"--out", "/proc/nowhere"}, 1, "/proc/nowhere"}});
  check_stops("dura-predict", {picture},
              {
                  {{"--model", cut}, 1, "cut.safetensors"},
                  {{"--model", weights}, 1, "A model written by dura-train is expected"},
                  {{"--model", picture}, 1, "p0.png"},
                  {{}, 2, "--model"},
              });
  check_stops("dura-predict", {"--model", model}, {{{}, 2, "files"}});
  check_stops("dura-gradcam", {"--model", model, "--out", out},
              {
                  {{}, 2, "one of the two"},
                  {{"--data", t.data.path(), picture}, 2, "one of the two"},
                  {{"--stage", "layer7", picture}, 2, "layer7"},
                  {{"--explain", "Bogus", picture}, 2, "Bogus"},
              });
  check_stops("dura-bench", {}, {{{"--batch", "0"}, 2, "--batch is 0"}});
}

TEST_CASE("a bad picture is named, counted and left out of training", "[apps][train]") {
  const TextureData data({.train = 130, .val = 4, .test = 0});
  const TemporaryFolder out;
  data.folder.write("p10.png", "");
  const std::vector<std::string> common = {"--data",          data.path(),
                                           "--depth",         "18",
                                           "--size",          "32",
                                           "--batch",         "16",
                                           "--phase1-epochs", "1",
                                           "--phase2-epochs", "0",
                                           "--weights",       write_initial_model(out / "weights.safetensors")};
  const ProgramRun run = run_program("dura-train", joined(common, {"--out", out / "run"}));
  CAPTURE(run.output);
  CHECK(run.code == 0);
  CHECK_THAT(run.output, Contains("warning: ") && Contains("p10.png") && Contains("85 training images"));
  CHECK(std::filesystem::exists(out / "run/model.safetensors"));
  // Over 1 % is too much, unless it is allowed.
  const std::string picture = read_text_file(data.path() + "/p11.png", 1 << 20);
  data.folder.write("p11.png", picture.substr(0, picture.size() / 2));
  const ProgramRun many = run_program("dura-train", joined(common, {"--out", out / "many"}));
  CAPTURE(many.output);
  CHECK(many.code == 1);
  CHECK_THAT(many.output, Contains("p10.png") && Contains("p11.png") && Contains("2 of 130 images are bad"));
  CHECK(!std::filesystem::exists(out / "many/run.json"));
  CHECK(run_program("dura-train", joined(common, {"--out", out / "many", "--allow-bad", "0.1"})).code == 0);
}
