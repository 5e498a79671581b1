#include "engine/cuda/plan_folder.h"

#include <algorithm>
#include <cstdlib>

#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"

namespace dura::cuda {
namespace {

constexpr uint64_t largest_file = uint64_t{64} << 20;
constexpr std::string_view format = "dura plan 1";

// The text up to the next end of line, which is taken away with it.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// "38" or "38 2=14 13=32".
std::optional<PlanChoice> read_choice(std::string_view text) {
  const std::vector<std::string> words = split_at(text, ' ');
  const auto engine = parse_number<int64_t>(words[0]);
  if (!engine) return std::nullopt;
  PlanChoice choice{.engine = *engine, .knobs = {}};
  for (size_t i = 1; i < words.size(); ++i) {
    const size_t sign = std::min(words[i].find('='), words[i].size() - 1);
    const auto type = parse_number<int64_t>(words[i].substr(0, sign)), value = parse_number<int64_t>(words[i].substr(sign + 1));
    if (!type || !value) return std::nullopt;
    choice.knobs.emplace_back(*type, *value);
  }
  return choice;
}

std::string knobs_of(const PlanChoice& choice) {
  std::string text;
  for (const auto& [type, value] : choice.knobs) text += concat(" ", type, "=", value);
  return text;
}

}  // namespace

std::string describe(const PlanChoice& choice) { return concat("engine ", choice.engine, ", knobs", knobs_of(choice)); }

std::string plan_text(const std::string& key, const KeptPlan& plan) {
  const std::string contents =
      concat(key, plan.choice.engine, knobs_of(plan.choice), "\n", plan.measured ? "measured" : "offered", "\n", plan.serialized);
  return concat(format, "\n", sha256_hex(contents), "\n", contents);
}

KeptPlan read_plan(const std::string& text, const std::string& key, const std::string& name) {
  std::string_view rest = text;
  DURA_CHECK(take_line(rest) == format, name, ": does not begin with '", format, "'");
  const std::string_view sum = take_line(rest);
  DURA_CHECK(sum == sha256_hex(rest), name, ": is damaged, its bytes have another sum than its second line says");
  DURA_CHECK(rest.substr(0, key.size()) == key, name, ": is the plan of another graph, library or card");
  rest.remove_prefix(key.size());
  const std::optional<PlanChoice> choice = read_choice(take_line(rest));
  const std::string_view how = take_line(rest);
  DURA_CHECK(choice && (how == "measured" || how == "offered"), name,
             ": an engine and its knobs, then 'measured' or 'offered', were expected behind the graph");
  return {.choice = *choice, .measured = how == "measured", .serialized = std::string(rest)};
}

std::filesystem::path PlanFolder::of_user() {
  const auto variable = [](const char* name) {
    const char* text = std::getenv(name);
    return std::filesystem::path(text ? text : "");
  };
  if (const std::filesystem::path named = variable("DURA_CUDA_PLANS"); !named.empty()) return named == "off" ? "" : named;
  // A path that is not absolute counts as none, as the XDG base directory specification wants it.
  if (const std::filesystem::path cache = variable("XDG_CACHE_HOME"); cache.is_absolute()) return cache / "dura" / "plans";
  const std::filesystem::path home = variable("HOME");
  return home.is_absolute() ? home / ".cache" / "dura" / "plans" : "";
}

std::string PlanFolder::key(const Graph& graph) const { return concat("target ", target_, "\n", describe(graph)); }

std::filesystem::path PlanFolder::file_of(const Graph& graph) const { return folder_ / (sha256_hex(key(graph)).substr(0, 32) + ".plan"); }

std::optional<KeptPlan> PlanFolder::find(const Graph& graph) const {
  const std::filesystem::path path = file_of(graph);
  if (std::error_code none; folder_.empty() || !std::filesystem::exists(path, none)) return std::nullopt;
  return read_plan(read_text_file(path, largest_file), key(graph), path.string());
}

void PlanFolder::keep(const Graph& graph, const KeptPlan& plan) const {
  if (folder_.empty()) return;
  make_folder(folder_);
  write_file_atomically(file_of(graph), plan_text(key(graph), plan));
}

}  // namespace dura::cuda
