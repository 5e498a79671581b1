// What a library owes the program that it lives in: dura.h prints nothing and leaves signals, directory and locale alone, whether a call
// is right or wrong.
#include "tests/support/catch.h"

#include <fcntl.h>
#include <unistd.h>

#include <clocale>
#include <filesystem>
#include <fstream>

#include "tests/programs/c_model.h"

using namespace dura;
using Catch::Contains;

namespace {

// What a process has that all of its code shares.
struct Surroundings {
  std::string signals, folder = std::filesystem::current_path(), locale = std::setlocale(LC_ALL, nullptr);

  Surroundings() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("SigCgt:") || line.starts_with("SigIgn:") || line.starts_with("SigBlk:")) signals += line + "\n";
  }
  bool operator==(const Surroundings&) const = default;
};

// What is written to standard output and standard error meanwhile.
template <class F>
std::string written_by(F&& calls) {
  const TemporaryFolder folder;
  const std::string file = folder / "said";
  std::fflush(nullptr);
  const int out = dup(1), error = dup(2), to = open(file.c_str(), O_WRONLY | O_CREAT, 0600);
  REQUIRE((out >= 0 && error >= 0 && to >= 0));
  dup2(to, 1), dup2(to, 2);
  calls();
  std::fflush(nullptr);
  dup2(out, 1), dup2(error, 2);
  for (const int f : {out, error, to}) close(f);
  return read_text_file(file, 1 << 20);
}

}  // namespace

TEST_CASE("the C interface prints nothing and leaves signals, folder and locale alone", "[models][c]") {
  const test::CModel material;
  const Surroundings before;
  int32_t wrong = 0;
  const std::string said = written_by([&] {
    dura_call* call = dura_call_new();
    wrong += dura_open_file(call, "/nonexistent", nullptr) == nullptr;
    const std::vector<uint8_t> half(material.bytes.begin(), material.bytes.begin() + std::ssize(material.bytes) / 2);
    wrong += dura_open_memory(call, half.data(), half.size(), nullptr) == nullptr;
    dura_model* model = dura_open_memory(call, material.bytes.data(), material.bytes.size(), nullptr);
    const dura_picture pixels = material.in_memory();
    dura_picture none = {}, damaged = material.encoded();
    damaged.encoded_size /= 2;
    for (const dura_picture* p : {&pixels, static_cast<const dura_picture*>(&none), static_cast<const dura_picture*>(&damaged)})
      for (int i = 0; i < 2; ++i) wrong += (i == 0 ? dura_predict(call, model, p, 1) : dura_explain(call, model, p, nullptr)) != DURA_OK;
    dura_close(model);
    dura_call_free(call);
  });
  CHECK(said.empty());
  CHECK(wrong == 6);
  const Surroundings after;
  CHECK(after.signals == before.signals);
  CHECK(after == before);
}

TEST_CASE("the C interface knows no device that takes over signals", "[models][c]") {
  const test::CModel material;
  dura_call* call = dura_call_new();
  dura_options options = {};
  options.size = sizeof options, options.device = "cuda-sim";
  CHECK(dura_open_memory(call, material.bytes.data(), material.bytes.size(), &options) == nullptr);
  CHECK(dura_call_status(call) == DURA_ERROR_USAGE);
  CHECK_THAT(dura_message(call), Contains("dura_options.device is 'cuda-sim', expected one of cpu, cuda"));
  dura_call_free(call);
}
