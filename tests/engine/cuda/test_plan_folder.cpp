// Plans on disk, without a card: what is written is read again, and what is anything else is refused by name.
#include "tests/support/catch.h"

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "engine/base/file.h"
#include "engine/base/random.h"
#include "engine/base/sha256.h"
#include "engine/cuda/plan_folder.h"
#include "tests/support/temporary_folder.h"

using namespace dura;
using cuda::Graph;
using cuda::KeptPlan;
using cuda::PlanFolder;

namespace {

Graph graph_of(int64_t channels) {
  return cuda::conv_graph({.N = 1, .H = 4, .W = 4, .C = channels, .K = 8, .R = 1, .S = 1, .P = 4, .Q = 4}, DType::f16, {.relu = true});
}
// Member by member: GCC 12 warns of the other form.
const KeptPlan kept = [] {
  KeptPlan plan;
  plan.choice.engine = 38;
  plan.choice.knobs = {{2, 14}, {13, -1}};
  plan.measured = true;
  plan.serialized = "{\"code\": \"\n\x01\"}\n";
  return plan;
}();

// The variable as it is while this lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    value ? setenv(name, value, 1) : unsetenv(name);
  }
  ~Variable() { before_ ? setenv(name_, before_->c_str(), 1) : unsetenv(name_); }
  Variable(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("a plan that is kept is found for its graph and its target, and for no other", "[cuda][plans]") {
  const TemporaryFolder temporary;
  const PlanFolder folder(temporary / "new/plans", "cuDNN 1, card A");
  CHECK_FALSE(folder.find(graph_of(8)));
  for (const KeptPlan& p : {kept, KeptPlan{.choice = {.engine = 0, .knobs = {}}}}) {
    folder.keep(graph_of(8), p);
    CHECK((folder.find(graph_of(8)) == p));
  }
  CHECK_FALSE(folder.find(graph_of(16)));
  Graph tf32 = graph_of(8);
  tf32.tf32 = true;
  CHECK_FALSE(folder.find(tf32));
  CHECK_FALSE(PlanFolder(temporary / "new/plans", "cuDNN 1, card B").find(graph_of(8)));
  const PlanFolder none("", "cuDNN 1, card A");
  none.keep(graph_of(8), kept);
  CHECK_FALSE(none.find(graph_of(8)));
}

TEST_CASE("a plan's file that is damaged, foreign or of another format is refused with its name and the reason", "[cuda][plans]") {
  const TemporaryFolder temporary;
  const PlanFolder folder(temporary.path(), "cuDNN 1, card A");
  const Graph graph = graph_of(8);
  folder.keep(graph, kept);
  const std::filesystem::path path = folder.file_of(graph);
  const std::string good = read_text_file(path, 1 << 20);
  const auto refused = [&](const std::string& text, const std::string& reason) {
    write_file_atomically(path, text);
    CHECK_THROWS_WITH(folder.find(graph), Catch::Contains(path.string()) && Catch::Contains(reason));
  };
  refused("", "does not begin with 'dura plan 1'");
  refused("dura plan 2" + good.substr(11), "does not begin with 'dura plan 1'");
  for (size_t length : {size_t{11}, size_t{12}, size_t{40}, size_t{77}, good.size() - 1}) refused(good.substr(0, length), "");
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    std::string damaged = good;
    damaged[random.below(good.size())] ^= static_cast<char>(1 + random.below(255));
    refused(damaged, "");
  }
  // Right sums over wrong contents.
  const std::string contents = good.substr(12 + 65);
  const auto signed_text = [](const std::string& text) { return concat("dura plan 1\n", sha256_hex(text), "\n", text); };
  REQUIRE(signed_text(contents) == good);
  const size_t choice = contents.find("38 2=14 13=-1\nmeasured\n");
  REQUIRE(choice != std::string::npos);
  for (const char* wrong : {"", "\n", "38", "38\n", "x\nmeasured\n", "38 2\nmeasured\n", "38 =\nmeasured\n", "38 2=\nmeasured\n",
                            "38  2=1\nmeasured\n", "38 2=14\nguessed\n", "99999999999999999999\nmeasured\n"})
    refused(signed_text(contents.substr(0, choice) + wrong), "an engine and its knobs");
  const PlanFolder elsewhere(temporary / "other", "cuDNN 1, card B");
  elsewhere.keep(graph, kept);
  refused(read_text_file(elsewhere.file_of(graph), 1 << 20), "another graph, library or card");
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  CHECK_THROWS_WITH(folder.find(graph), Catch::Contains("is a directory"));
  CHECK_THROWS_WITH(folder.keep(graph, kept), Catch::Contains("A directory of this name is in the way"));
}

TEST_CASE("writers of one plan at the same time leave a whole file", "[cuda][plans]") {
  const TemporaryFolder temporary;
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i)
    writers.emplace_back([&] {
      const PlanFolder folder(temporary.path(), "cuDNN 1, card A");
      for (int j = 0; j < 25; ++j) {
        try {
          folder.keep(graph_of(8), kept);
        } catch (const Error&) {  // another is at it
        }
        if (const auto found = folder.find(graph_of(8)); found && !(*found == kept)) throw Error("a part of a file was read");
      }
    });
  for (std::thread& w : writers) w.join();
  CHECK((PlanFolder(temporary.path(), "cuDNN 1, card A").find(graph_of(8)) == kept));
}

TEST_CASE("plans are kept where DURA_CUDA_PLANS says, else in the user's cache folder", "[cuda][plans]") {
  const auto folder = [](const char* named, const char* cache, const char* home) {
    const Variable a("DURA_CUDA_PLANS", named), b("XDG_CACHE_HOME", cache), c("HOME", home);
    return PlanFolder::of_user().string();
  };
  CHECK(folder("/x/plans", "/cache", "/home/me") == "/x/plans");
  CHECK(folder("off", "/cache", "/home/me").empty());
  CHECK(folder(nullptr, "/cache", "/home/me") == "/cache/dura/plans");
  CHECK(folder("", "relative", "/home/me") == "/home/me/.cache/dura/plans");
  CHECK(folder(nullptr, nullptr, "/home/me") == "/home/me/.cache/dura/plans");
  CHECK(folder(nullptr, nullptr, nullptr).empty());
}
