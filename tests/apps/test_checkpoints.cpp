// A checkpoint of others from outside: dura-convert makes a model of it, dura-predict uses it, and an ONNX file comes of either.
#include "tests/support/catch.h"

#include <filesystem>
#include <map>
#include <utility>

#include "apps/program/program.h"
#include "data/image/codec.h"
#include "data/set/csv.h"
#include "models/network/model_file.h"
#include "tests/support/onnx_reader.h"
#include "tests/support/picture_formula.h"
#include "tests/support/run_program.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/weight_files.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

// Weights as timm has them: torchvision's names and no word of how they are used.
std::string write_checkpoint(const TemporaryFolder& folder) {
  Classifier model({.backbone = {.depth = 18}, .classes = {"x", "y", "z"}, .seed = 3});
  StateDict state = state_of(model);
  state.metadata()["format"] = "pt";
  write_safetensors(folder / "trained.safetensors", state);
  return folder / "trained.safetensors";
}

std::string must_run(const std::string& program, const std::vector<std::string>& arguments) {
  const ProgramRun run = run_program(program, arguments);
  INFO(run.output);
  REQUIRE(run.code == 0);
  return run.output;
}

// Without the log's lines, which end before the header.
CsvTable csv_of(const std::string& output) { return parse_csv(output.substr(output.find("file,class,probability")), "output"); }

}  // namespace

TEST_CASE("dura-convert makes a model of a checkpoint, and dura-predict prints it for programs and for people", "[apps][import]") {
  const TemporaryFolder folder;
  const std::string trained = write_checkpoint(folder), model = folder / "model.safetensors", slice = folder / "slice.png";
  write_png(slice, picture(40, 50, 3));
  const std::string said = must_run(
      "dura-convert",
      {trained, model, "--classes-file", folder.write("names.txt", "Menin\nGlioma\nNone, of both\n"), "--size", "64", "--clahe", "2"});
  CHECK_THAT(said, Contains("ResNet-18 with 3 classes") && Contains("every bit as written") && Contains("dense layer: 'fc'") &&
                       Contains("CLAHE 2 8x8; resize 64x64") && Contains("torchvision's conventions are assumed"));
  const ModelFile read = read_model(model, {});
  CHECK(read.model->classes() == std::vector<std::string>{"Menin", "Glioma", "None, of both"});
  CHECK(read.preprocessing.size == 64);
  CHECK(read_safetensors(model).metadata().contains("dura.converted_from"));

  const CsvTable all = csv_of(must_run("dura-predict", {"--model", model, slice}));
  CHECK(all.header == std::vector<std::string>{"file", "class", "probability", "p_Menin", "p_Glioma", "p_None, of both"});
  const CsvTable top = csv_of(must_run("dura-predict", {"--model", model, "--top", "2", slice}));
  CHECK(top.header == std::vector<std::string>{"file", "class", "probability", "class_2", "probability_2"});
  const std::vector<std::string>&first = all.rows.at(0).fields, &ranked = top.rows.at(0).fields;
  for (size_t i = 0; i < 3; ++i) CHECK(first[i] == ranked[i]);
  CHECK(std::stod(ranked[4]) <= std::stod(ranked[2]));
  CHECK(ranked[4] == first[3 + (ranked[3] == "Menin" ? 0 : ranked[3] == "Glioma" ? 1 : 2)]);
  const std::string text = must_run("dura-predict", {"--model", model, "--format", "text", slice});
  CHECK_THAT(text, Contains(slice + "\n  class          probability\n  " + first[1]));
  for (const std::string& name : read.model->classes()) CHECK_THAT(text, Contains("\n  " + name + " "));
  // Two models answer with the mean, and the second `--model` is not taken for a picture.
  const std::string other = folder / "other.safetensors";
  must_run("dura-convert", {trained, other, "--classes", "Menin", "Glioma", "None, of both", "--size", "32"});
  const CsvTable alone = csv_of(must_run("dura-predict", {"--model", other, slice})),
                 both = csv_of(must_run("dura-predict", {"--model", model, "--model", other, slice}));
  REQUIRE(both.header.back() == "disagreement");
  for (size_t c = 3; c < 6; ++c)
    CHECK(std::stod(both.rows.at(0).fields[c]) == Approx((std::stod(first[c]) + std::stod(alone.rows.at(0).fields[c])) / 2).margin(2e-6));
  const std::vector<std::string>& names = read.model->classes();
  const auto decided = static_cast<size_t>(std::find(names.begin(), names.end(), both.rows.at(0).fields[1]) - names.begin()) + 3;
  CHECK(std::stod(both.rows.at(0).fields.back()) ==
        Approx(std::abs(std::stod(first[decided]) - std::stod(alone.rows.at(0).fields[decided])) / 2).margin(2e-6));
  CHECK(run_program("dura-predict", {"--model", model, "--top", "-1", slice}).code == 2);
  CHECK(run_program("dura-predict", {"--model", model, "--format", "xml", slice}).code == 2);
}

TEST_CASE("dura-predict --top 5 of a thousand classes is a table for people, and a row for programs", "[apps][import]") {
  // The dense layer's weights are 0, so every picture has the logits of its biases: 0, but for six classes.
  const std::map<size_t, std::pair<std::string, float>> likely = {
      {0, {"tench", 8.5f}},      {134, {"crane, bird", 9}},    {207, {"golden retriever", 10}},
      {500, {"kind 500", 7.5f}}, {517, {"crane, machine", 8}}, {999, {"toilet tissue", 9.5f}}};
  std::string names;
  std::vector<float> biases(1000);
  for (size_t c = 0; c < 1000; ++c) {
    const auto found = likely.find(c);
    names += (found == likely.end() ? concat("kind ", c) : found->second.first) + "\n";
    biases[c] = found == likely.end() ? 0 : found->second.second;
  }
  Classifier model({.backbone = {.depth = 18}, .classes = {"a", "b"}, .seed = 3});
  StateDict state;
  const StateDict initial = state_of(model);
  for (const StateDict::Entry& e : initial.entries())
    if (!e.name.starts_with("fc.")) state.add(e.name, e.array);
  state.add("fc.weight", Array::of<float>({1000, 512}, ElementType::f32, std::vector<float>(1000 * 512)));
  state.add("fc.bias", Array::of<float>({1000}, ElementType::f32, biases));
  const TemporaryFolder folder;
  const std::string trained = folder / "trained.safetensors", file = folder / "model.safetensors", slice = folder / "slice.png";
  write_safetensors(trained, state);
  write_png(slice, picture(40, 50, 3));
  must_run("dura-convert", {trained, file, "--classes-file", folder.write("names.txt", names), "--size", "32", "--input", "torch"});

  const std::string text = must_run("dura-predict", {"--model", file, "--top", "5", "--format", "text", slice});
  CHECK(text.substr(text.find(slice + "\n")) == slice +
                                                    "\n"
                                                    "  class             probability\n"
                                                    "  golden retriever     0.406490\n"
                                                    "  toilet tissue        0.246548\n"
                                                    "  crane, bird          0.149539\n"
                                                    "  tench                0.090700\n"
                                                    "  crane, machine       0.055012\n");
  const std::string csv = must_run("dura-predict", {"--model", file, "--top", "5", slice});
  CHECK(csv.substr(csv.find("file,")) ==
        "file,class,probability,class_2,probability_2,class_3,probability_3,class_4,probability_4,class_5,probability_5\n" + slice +
            ",golden retriever,0.406490,toilet tissue,0.246548,\"crane, bird\",0.149539,tench,0.090700,\"crane, machine\",0.055012\n");
  // Without --top, programs get all of them and people five.
  const CsvTable all = csv_of(must_run("dura-predict", {"--model", file, slice}));
  CHECK(all.header.size() == 1003);
  CHECK(all.rows.at(0).fields.at(3 + 999) == "0.246548");
  CHECK(must_run("dura-predict", {"--model", file, "--format", "text", slice}) == text);
}

TEST_CASE("the card of a checkpoint's model has the limits that are always there, and what is said of it", "[apps][import][card]") {
  const TemporaryFolder folder;
  const std::string trained = write_checkpoint(folder), model = folder / "model.safetensors";
  const auto card = [&](const std::vector<std::string>& said) {
    std::vector<std::string> arguments = {trained, model, "--classes", "a", "b", "c"};
    arguments.insert(arguments.end(), said.begin(), said.end());
    must_run("dura-convert", arguments);
    return read_safetensors(model).metadata();
  };
  Entries entries = card({});
  const std::string always = entries.at("dura.card.limits");
  CHECK_THAT(always, Contains("Not a medical device; nothing that it says is a diagnosis.\n"));
  CHECK(entries.at("dura.card.weights_licence") == "not stated");
  CHECK(entries.at("dura.card.made_by") == "dura-convert " + dura_version());
  entries = card({"--limits", "Adults only.", "T1 only.", "--weights-licence", "CC BY-NC 4.0"});
  CHECK(entries.at("dura.card.limits") == always + "\nAdults only.\nT1 only.");
  CHECK(entries.at("dura.card.weights_licence") == "CC BY-NC 4.0");
  CHECK_THAT(must_run("dura-inspect", {"model", model}), Contains("Not a medical device") && Contains("T1 only.") &&
                                                             Contains("CC BY-NC 4.0") && Contains("dura-convert, of a checkpoint"));
}

TEST_CASE("dura-convert writes ONNX of a model and of a checkpoint with classes, the same, with the model's card", "[apps][onnx]") {
  const TemporaryFolder folder;
  const std::string trained = write_checkpoint(folder), model = folder / "model.safetensors";
  must_run("dura-convert", {trained, model, "--classes", "a", "b", "c", "--size", "64", "--limits", "Adults only."});
  CHECK_THAT(must_run("dura-convert", {model, folder / "m.onnx", "--batch", "2", "--onnx-input", "images"}),
             Contains("ResNet-18 with 3 classes as ONNX"));
  must_run("dura-convert", {trained, folder / "t.ONNX", "--classes", "a", "b", "c", "--size", "64", "--limits", "Adults only.", "--batch",
                            "2", "--onnx-input", "images"});
  const std::string of_model = read_text_file(folder / "m.onnx", uint64_t{1} << 30);
  CHECK(of_model == read_text_file(folder / "t.ONNX", uint64_t{1} << 30));
  CHECK(read_onnx(of_model).inputs.at(0).extents == std::vector<int64_t>{2, 3, 64, 64});

  StateDict scored = read_safetensors(model);
  scored.metadata()["dura.card.scores.test"] = "accuracy 0.9\nby dura-evaluate";
  write_safetensors(model, scored);
  must_run("dura-convert", {model, folder / "scored.onnx"});
  const auto metadata = read_onnx(read_text_file(folder / "scored.onnx", uint64_t{1} << 30)).metadata;
  for (const auto& [key, value] : scored.metadata()) {
    CAPTURE(key);
    REQUIRE(metadata.contains(key));
    CHECK(metadata.at(key) == value);
  }
  CHECK_THAT(metadata.at("dura.card.limits"), Contains("Not a medical device") && Contains("\nAdults only."));
}

TEST_CASE("dura-convert refuses what makes no model or no ONNX file, and leaves nothing", "[apps][import][onnx]") {
  const TemporaryFolder source, folder;
  const std::string trained = write_checkpoint(source), model = source / "model.safetensors", out = folder / "out.safetensors",
                    onnx = folder / "out.onnx";
  must_run("dura-convert", {trained, model, "--classes", "a", "b", "c"});
  const auto refused = [&](const std::vector<std::string>& arguments, int code, const std::string& why) {
    const ProgramRun run = run_program("dura-convert", arguments);
    INFO(run.output);
    CHECK(run.code == code);
    CHECK_THAT(run.output, Contains("dura-convert: error: ") && Contains(why));
    CHECK(std::filesystem::is_empty(folder.path()));
  };
  refused({trained, out, "--classes", "a", "b"}, 2, "3 outputs, 2 classes are named");
  refused({trained, out, "--classes", "a", "b", "c", "--classes-file", "names.txt"}, 2, "Use one of the two");
  refused({trained, out, "--classes-file", source / "no.txt"}, 1, "no.txt");
  refused({trained, out, "--size", "64"}, 2, "belong to a model");
  refused({trained, out, "--limits", "Adults only."}, 2, "belong to a model");
  refused({model, onnx, "--weights-licence", "ours"}, 2, "belong to a model that is made of a checkpoint");
  refused({trained, out, "--classes", "a", "b", "c", "--batch", "2"}, 2, "ends in .onnx");
  refused({trained, out, "--classes", "a", "b", "c", "--depth", "50"}, 1, "does not fit a ResNet-50");
  refused({trained, onnx}, 2, "no model of dura");
  refused({model, out, "--classes", "a", "b", "c"}, 2, "is a model of dura");
  const std::string whole = read_text_file(model, uint64_t{1} << 30);
  refused({source.write("cut.safetensors", whole.substr(0, whole.size() / 2)), onnx}, 1, "cut.safetensors");
  std::string damaged = whole;
  damaged.replace(damaged.find("dura model 1"), 12, "dura model 7");
  refused({source.write("other.safetensors", damaged), onnx}, 1, "the format is 'dura model 7'");
  damaged = whole;
  damaged.replace(damaged.size() - 4, 4, "\xff\xff\xff\x7f");  // the last weight becomes NaN
  refused({source.write("nan.safetensors", damaged), onnx}, 1, "holds nan");
}
