// What CONTRIBUTING.md says of style and a program can count: lengths of lines and files, and arguments of functions.
#include "tests/support/catch.h"
#include "tests/support/folders.h"

#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/file.h"
#include "engine/base/text.h"

using namespace dura;

namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) { return read_text_file(file, uint64_t{1} << 20); }

// Of the rooms; tests and examples may be longer.
std::vector<fs::path> sources() {
  const std::set<std::string> kinds = {".h", ".cpp", ".cu"};
  std::vector<fs::path> all;
  for (const char* room : {"engine", "layers", "models", "data", "weights", "apps"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(source_folder()) / room))
      if (kinds.contains(entry.path().extension().string())) all.push_back(entry.path());
  std::sort(all.begin(), all.end());
  return all;
}

// Without comments, and without what stands in quotation marks.
std::string code_of(const std::string& text) {
  static const std::regex quoted(R"re("(\\.|[^"\\\n])*")re"), comment(R"re(//[^\n]*)re");
  return std::regex_replace(std::regex_replace(text, quoted, "\"\""), comment, "");
}

std::string trimmed(const std::string& s) {
  const size_t first = s.find_first_not_of(" \n");
  return first == std::string::npos ? "" : s.substr(first, s.find_last_not_of(" \n") - first + 1);
}

// What stands between the bracket at `open` and its counterpart, at commas outside of inner brackets.
std::vector<std::string> arguments_at(const std::string& code, size_t open) {
  std::vector<std::string> all(1);
  int64_t depth = 1;
  for (size_t i = open + 1; i < code.size(); ++i) {
    const char c = code[i];
    depth += std::string("([{<").find(c) != std::string::npos;
    depth -= std::string(")]}").find(c) != std::string::npos || (c == '>' && code[i - 1] != '-');
    if (depth <= 0) break;
    if (c == ',' && depth == 1)
      all.emplace_back();
    else
      all.back() += c;
  }
  return all;
}

// Names of functions that are declared with more than seven arguments: each of them a type and a name, which those of a call are not.
// A kernel's are what its launch copies, and its own functions are handed them on: those may have more.
std::vector<std::string> functions_with_many_arguments(const std::string& code) {
  static const std::regex name(R"re(([A-Za-z_]\w*)\s*\()re"),
      declared(R"re((const\s+)?[\w:]+(<[^=]*>)?[\s*&]+(__restrict\s+)?\w+(\[\w*\])?(\s*=[^=]*)?)re");
  std::vector<std::string> found;
  for (std::sregex_iterator at(code.begin(), code.end(), name), end; at != end; ++at) {
    const auto begin = static_cast<size_t>(at->position());
    const std::vector<std::string> arguments = arguments_at(code, begin + static_cast<size_t>(at->length()) - 1);
    if (arguments.size() <= 7) continue;
    const size_t before = code.find_last_of(";{}", begin);
    const std::string head = code.substr(before == std::string::npos ? 0 : before, begin - (before == std::string::npos ? 0 : before));
    if (head.find("__global__") != std::string::npos || head.find("__device__") != std::string::npos) continue;
    const auto is_declared = [&](const std::string& a) {
      return std::regex_match(trimmed(a), declared) && !trimmed(a).starts_with("return ");
    };
    if (std::all_of(arguments.begin(), arguments.end(), is_declared)) found.push_back((*at)[1]);
  }
  return found;
}

}  // namespace

TEST_CASE("lines of code have at most 140 characters, files at most 450 lines, programs at most 150", "[style]") {
  for (const fs::path& file : sources()) {
    std::istringstream text(text_of(file));
    int64_t lines = 0;
    CAPTURE(file.string());
    for (std::string line; std::getline(text, line);) {
      ++lines;
      // A style sheet goes into pages byte by byte.
      if (line.size() > 140 && file.filename() != "html.cpp") FAIL_CHECK("line " << lines << " has " << line.size() << " characters");
    }
    const bool program = file.parent_path() == fs::path(source_folder()) / "apps";
    CHECK(lines <= (program ? 150 : 450));
  }
}

TEST_CASE("no function has more than seven arguments, save kernels", "[style]") {
  for (const fs::path& file : sources()) {
    CAPTURE(file.string());
    CHECK(joined(functions_with_many_arguments(code_of(text_of(file))), ", ") == "");
  }
}

TEST_CASE("the counts of style notice what they are there for", "[style]") {
  const auto many = [](const std::string& code) { return joined(functions_with_many_arguments(code_of(code)), " "); };
  CHECK(many("void f(int a, const T<int, int>& b, char c[3], float* d, int64_t e = 3, std::string f, bool g, Tensor h);") == "f");
  CHECK(many("void f(int a, const T<int, int>& b, char c[3], float* d, int64_t e = 3, std::string f, bool g);") == "");
  CHECK(many("f(a, b, c, d, e, f, g, h, i);  // int a, int b, int c, int d, int e, int f, int g, int h") == "");
  CHECK(many("template <class T>\n__global__ void k(int a, int b, int c, int d, int e, int f, int g, int h) {") == "");
}
