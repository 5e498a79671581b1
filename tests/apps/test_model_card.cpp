// A model's card: what dura-train writes, what dura-evaluate adds without touching the model, what dura-inspect shows.
#include "tests/support/catch.h"

#include <cmath>

#include "apps/evaluation/model_card.h"
#include "apps/program/program.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"
#include "weights/safetensors.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

std::string run(const std::string& program, const std::vector<std::string>& arguments, int code = 0) {
  const ProgramRun run = run_program(program, arguments);
  INFO(run.output);
  REQUIRE(run.code == code);
  return run.output;
}

}  // namespace

TEST_CASE("a trained model says what it was made of, and an evaluation adds scores to a copy of it", "[apps][card]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors", {"rare", "usual"}, 5);
  const auto train = [&](const std::string& to) {
    run("dura-train", {"--data", data.path(), "--weights", weights, "--weights-licence", "ours alone", "--limits", "Adults only.",
                       "--depth", "18", "--size", "32", "--phase1-epochs", "1", "--phase2-epochs", "0", "--out", to});
    return to + "/model.safetensors";
  };
  const std::string model = train(out / "run");
  // The same run gives the same file, whatever its folder.
  CHECK(sha256_file_hex(train(out / "again")) == sha256_file_hex(model));

  const Entries entries = read_safetensors(model).metadata();
  CHECK(entries.at("dura.card.made_by") == "dura-train " + dura_version());
  CHECK_THAT(entries.at("dura.card.pictures"),
             Contains("train: ") && Contains("\nval: ") && Contains("\ntest: ") && Contains(" patients ("));
  CHECK(entries.at("dura.card.manifest_sha256").size() == 64);
  CHECK(entries.at("dura.card.weights") == "weights.safetensors, SHA-256 " + sha256_file_hex(weights));
  CHECK(entries.at("dura.card.weights_licence") == "ours alone");
  CHECK_THAT(entries.at("dura.card.limits"), Contains("Not a medical device") && Contains("\nAdults only."));
  // The sum of sums, as a shell makes it.
  DataOptions options;
  options.folder = data.path();
  const DataSplits splits = open_splits(options);
  std::string sums;
  for (const int64_t row : splits.rows[Split::val]) {
    const std::string& file = splits.manifest.rows[static_cast<size_t>(row)].file;
    sums += sha256_file_hex(data.path() + "/" + file) + "  " + file + "\n";
  }
  CHECK_THAT(entries.at("dura.card.pictures_sha256"), Contains("\nval: " + sha256_hex(std::string_view(sums))));
  CHECK(entries.at("dura.card.pictures_sha256").find("test") == std::string::npos);

  const std::string before = sha256_file_hex(model), scored = out / "scored.safetensors";
  CHECK_THAT(run("dura-inspect", {"model", model}), Contains("ours alone") && Contains("none in the file") && Contains("rare\n"));
  run("dura-evaluate", {"--data", data.path(), "--model", model, "--out", out / "scores", "--card", scored});
  CHECK(sha256_file_hex(model) == before);
  const StateDict first = read_safetensors(model), second = read_safetensors(scored);
  REQUIRE(first.size() == second.size());
  for (const StateDict::Entry& e : first.entries()) CHECK(bit_equal(second.at(e.name), e.array));
  const std::string scores = second.metadata().at("dura.card.scores.test");
  CHECK_THAT(scores, Contains("accuracy ") && Contains("intervals of 95 % over 8 patients") && Contains("rare (") && Contains("F1 ") &&
                         Contains("model " + before) && Contains("decision: argmax"));
  CHECK_THAT(run("dura-inspect", {"model", scored}), Contains("scores on test") && Contains("ROC AUC") && Contains("Adults only."));

  CHECK_THAT(run("dura-evaluate", {"--data", data.path(), "--model", model, "--out", out / "scores", "--card", model}, 2),
             Contains("is the model itself"));
  CHECK_THAT(run("dura-evaluate", {"--data", data.path(), "--model", model, scored, "--out", out / "scores", "--card", out / "x"}, 2),
             Contains("--card writes one model"));
  CHECK(sha256_file_hex(model) == before);
}

TEST_CASE("a card shows what a file says, and what it does not say", "[apps][card]") {
  Entries entries = {{"dura.format", "dura model 1"},
                     {"dura.depth", "18"},
                     {"dura.variant", "v1"},
                     {"dura.stem_pool", "ceil"},
                     {"dura.size", "96"},
                     {"dura.input", "caffe"},
                     {"dura.classes", "a\nb"},
                     {"dura.card.limits", "x\x1b[2Jy"}};
  std::string text = model_card_text(entries, "m.safetensors", "abc");
  CHECK_THAT(text, Contains("ResNet-18, variant v1, stem pooling ceil") && Contains("resize 96x96; convention caffe"));
  CHECK_THAT(text, Contains("not stated"));
  CHECK(text.find('\x1b') == std::string::npos);  // a file's text moves no cursor
  entries["dura.converted_from"] = "123";
  CHECK_THAT(model_card_text(entries, "m.safetensors", "abc"), Contains("dura-convert, of a checkpoint with the SHA-256 123"));
  const TemporaryFolder folder;
  StateDict state;
  state.add("a", Array::of<float>({1}, ElementType::f32, {1}));
  write_safetensors(folder / "w.safetensors", state);
  CHECK_THAT(run("dura-inspect", {"model", folder / "w.safetensors"}, 2), Contains("has no card"));
}
