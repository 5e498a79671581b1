// dura-convert and dura-inspect from outside.
#include "tests/support/catch.h"

#include <filesystem>

#include "apps/report/trace_diff.h"
#include "engine/base/sha256.h"
#include "tests/support/run_program.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/weight_files.h"
#include "weights/pth.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

TEST_CASE("dura-convert writes what the file holds, says what it wrote, and keeps the conventions", "[apps][weights]") {
  const TemporaryFolder folder;
  const std::string out = folder / "out.safetensors";
  const ProgramRun run = run_program("dura-convert", {golden("module.pth").string(), out, "--input", "caffe", "--variant", "v1"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("8 tensors") && Contains(sha256_file_hex(out)) && Contains("every bit as written") &&
                             Contains("input caffe, variant v1, stem pooling padded (as given)"));
  const StateDict state = read_safetensors(out), original = read_weights(golden("module.pth"));
  for (const StateDict::Entry& e : original.entries()) CHECK(bit_equal(state.at(e.name), e.array));
  CHECK(state.metadata().at("dura.input") == "caffe");
  CHECK(state.metadata().at("dura.converted_from") == sha256_file_hex(golden("module.pth")));
  // Converting again changes nothing but where it came from, and needs no options.
  const std::string again = folder / "again.safetensors";
  REQUIRE(run_program("dura-convert", {out, again}).code == 0);
  CHECK(read_safetensors(again).metadata().at("dura.variant") == "v1");

  const ProgramRun unknown = run_program("dura-convert", {golden("module.pth").string(), again});
  CHECK(unknown.code == 0);
  CHECK_THAT(unknown.output, Contains("torchvision's conventions are assumed") && Contains("--input"));
  CHECK(read_safetensors(again).metadata().count("dura.input") == 0);
}

TEST_CASE("dura-convert refuses bad files and bad places with exit code 1 and leaves nothing", "[apps][weights]") {
  const TemporaryFolder folder;
  const std::string out = folder / "out.safetensors";
  const auto refused = [&](const std::string& in, const std::string& to, const std::string& why) {
    const ProgramRun run = run_program("dura-convert", {in, to});
    INFO(run.output);
    CHECK(run.code == 1);
    CHECK_THAT(run.output, Contains("dura-convert: error: ") && Contains(why));
    CHECK(std::filesystem::is_empty(folder.path()));
  };
  refused(golden("foreign.pth").string(), out, "posix.system");
  refused(folder.path() + "/none.pth", out, "No such file");
  refused(golden("module.pth").string(), folder.path() + "/no/out.safetensors", "does not exist: create it");
  const TemporaryFolder other;
  refused(other.write("cut.pth", golden_text("module.pth").substr(0, 2000)), out, "truncated");
  refused(other.write("nan.safetensors",
                      safetensors_text("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "\xff\xff\xff\xff")),
          out, "'w' holds");
  CHECK(run_program("dura-convert", {other.path() + "/nan.safetensors", out, "--allow-nonfinite"}).code == 0);
  CHECK(run_program("dura-convert", {golden("module.pth").string()}).code == 2);
  CHECK(run_program("dura-convert", {golden("module.pth").string(), out, "--input", "rgb"}).code == 2);
}

TEST_CASE("dura-inspect lists the tensors of a weight file with their statistics", "[apps][weights]") {
  const ProgramRun run = run_program("dura-inspect", {golden("types_legacy.pth").string()});
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("bfloat16  bf16  (3,3)") && Contains("10 tensors, ") && Contains("-1e+300") && Contains("SHA-256 "));
  CHECK_THAT(run_program("dura-inspect", {golden("types.safetensors").string()}).output, Contains("metadata 'golden': 'types'"));
  const TemporaryFolder folder;
  const std::string bad = folder.write(
      "nan.safetensors", safetensors_text("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "\xff\xff\xff\xff"));
  CHECK_THAT(run_program("dura-inspect", {bad}).output, Contains("1 elements are NaN or infinite"));
  CHECK(run_program("dura-inspect", {golden("foreign.pth").string()}).code == 1);
  CHECK(run_program("dura-inspect", {"a", "b"}).code == 2);
}

TEST_CASE("dura-inspect summarises a network by name", "[apps][weights]") {
  const ProgramRun run = run_program("dura-inspect", {"resnet18", "--size", "64", "--classes", "2"});
  CHECK(run.code == 0);
  CHECK_THAT(run.output, Contains("layer4.1.conv2"));
}

namespace {
std::string trace_line(const std::string& op, const std::string& mean, const std::string& checksum, const std::string& dtype = "f32") {
  return "forward " + op + " " + dtype + " (2,4) ms=0.100 mean=" + mean + " checksum=" + checksum + "\n";
}
}  // namespace

TEST_CASE("dura-inspect diff names the first op beyond tolerance", "[apps][weights]") {
  const TemporaryFolder folder;
  const std::string a = trace_line("conv a", "1.0", "01") + trace_line("relu b", "2.0", "02") + trace_line("linear c", "3.0", "03");
  const auto diff = [&](const std::string& second, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"diff", folder.write("a", a), folder.write("b", second)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program("dura-inspect", arguments);
  };
  CHECK(diff(a).code == 0);
  CHECK_THAT(diff(a).output, Contains("3 ops compared: 3 identical, 0 within tolerance"));
  const std::string close = trace_line("conv a", "1.0", "01") + trace_line("relu b", "2.001", "12") + trace_line("linear c", "3.3", "13");
  const ProgramRun third = diff(close);
  CHECK(third.code == 1);
  CHECK_THAT(third.output,
             Contains("1 identical, 1 within tolerance") && Contains("op 3 forward linear c (2,4): mean 3 (f32) in the first, 3.3 (f32)"));
  CHECK_THAT(diff(close, {"--relative", "0", "--absolute", "0"}).output, Contains("op 2 forward relu b"));
  CHECK(diff(close, {"--relative", "0.2"}).code == 0);
  CHECK_THAT(diff(trace_line("conv a", "1.0", "01", "f16") + trace_line("pool b", "2.0", "02")).output,
             Contains("0 identical, 1 within") && Contains("op 2 is another one: forward relu b (2,4) in the first, forward pool b (2,4)"));
  CHECK_THAT(diff(trace_line("conv a", "1.0", "01")).output,
             Contains("the second ends after 1 ops, the other goes on with forward relu b"));
  CHECK_THAT(diff(trace_line("conv a", "nan", "01") + trace_line("relu b", "nan", "05")).output,
             Contains("op 2 forward relu b") && Contains("nan"));
  CHECK_THAT(diff("hello\n").output, Contains("line 1: not a line of a trace"));
  CHECK_THAT(diff("").output, Contains("is empty"));
  CHECK(run_program("dura-inspect", {"diff", "x"}).code == 2);
}
