// The documentation, kept by a test: its links lead somewhere, its lines fit on a screen, and the README stays a page.
#include "tests/support/catch.h"
#include "tests/support/folders.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

std::vector<fs::path> pages() {
  const fs::path root(source_folder());
  std::vector<fs::path> all = {root / "README.md", root / "CONTRIBUTING.md", root / "SECURITY.md", root / "weights/README.md",
                               root / "tests/fuzz/README.md"};
  for (const auto& entry : fs::directory_iterator(root / "docs"))
    if (entry.path().extension() == ".md") all.push_back(entry.path());
  return all;
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The targets of "[text](target)" and "![text](target)" that are files, without what follows a '#': no addresses, and no parameters of a
// lambda in an example, "[](int64_t i)", which hold a space.
std::vector<std::string> files_linked(const std::string& line) {
  std::vector<std::string> files;
  for (size_t at = line.find("]("); at != std::string::npos; at = line.find("](", at + 1)) {
    const std::string target = line.substr(at + 2, line.find(')', at) - at - 2);
    if (target.find("://") == std::string::npos && target.find(' ') == std::string::npos)
      files.push_back(target.substr(0, target.find('#')));
  }
  return files;
}

// In characters, not bytes: bytes that go on with a character of UTF-8 begin with the bits 10.
size_t width(const std::string& line) {
  size_t characters = 0;
  for (const char c : line) characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return characters;
}

std::string one_line(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line.substr(std::min(line.find_first_not_of(' '), line.size())) + ' ';
  return text;
}

// What stands in quotation marks; of "a name ..." its beginning.
std::vector<std::string> quoted_names(const std::string& text) {
  std::vector<std::string> names;
  for (size_t begin = text.find('"'); begin != std::string::npos;) {
    const size_t end = text.find('"', begin + 1);
    std::string name = text.substr(begin + 1, end - begin - 1);
    if (const size_t dots = name.find(" ..."); dots != std::string::npos) name.resize(dots);
    if (name != "NAME") names.push_back(name);
    begin = end == std::string::npos ? end : text.find('"', end + 1);
  }
  return names;
}

}  // namespace

TEST_CASE("every link in the documentation points at a file that exists", "[docs]") {
  size_t links = 0;
  for (const fs::path& page : pages())
    for (const std::string& line : lines_of(page))
      for (const std::string& file : files_linked(line)) {
        ++links;
        INFO(page.string() << ": " << file);
        CHECK((file.empty() || fs::exists(page.parent_path() / file)));
      }
  CHECK(links > 50);
}

TEST_CASE("lines of the documentation have at most 120 characters, save rows of tables, and the README at most 120 lines", "[docs]") {
  for (const fs::path& page : pages()) {
    const std::vector<std::string> lines = lines_of(page);
    CHECK_FALSE(lines.empty());
    for (size_t i = 0; i < lines.size(); ++i)
      if (lines[i].rfind('|', 0) != 0 && width(lines[i]) > 120) FAIL_CHECK(page.string() << " line " << i + 1 << ": " << width(lines[i]));
  }
  CHECK(lines_of(fs::path(source_folder()) / "README.md").size() <= 120);
}

TEST_CASE("the tests that docs/numerics.md names as proofs are there", "[docs]") {
  std::string tests;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(source_folder()) / "tests"))
    if (entry.path().extension() == ".cpp" || entry.path().filename() == "CMakeLists.txt") tests += one_line(lines_of(entry.path()));
  const std::string text = one_line(lines_of(fs::path(source_folder()) / "docs/numerics.md"));
  const auto names = quoted_names(text);
  CHECK(names.size() > 20);
  for (const std::string& name : names) {
    INFO(name);
    CHECK(tests.find("\"" + name) != std::string::npos);
  }
}

TEST_CASE("the checks of the documentation notice what they are there for", "[docs]") {
  CHECK(files_linked("[a](b.md#c), ![d](e/f.png), [g](https://h) and [](int i)") == std::vector<std::string>{"b.md", "e/f.png"});
  CHECK(width("\u00b1a") == 2);
  CHECK(quoted_names("x (\"one two\", \"three ...\") \"NAME\"") == std::vector<std::string>{"one two", "three"});
}
