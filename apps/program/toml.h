// The part of TOML that a program's configuration needs: `key = value` lines with strings, numbers, true or false, and lists of them;
// comments; lists over several lines. Read strictly, because a setting that is misread is an experiment that did not happen:
// whatever is not understood is an error with its line. Invariant: parse_toml(format_toml(x)) gives x again.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dura {

struct TomlEntry {
  std::string key;
  std::vector<std::string> values;  // the value as text, strings without their quotes; one, unless it is a list
  bool is_list = false;
  int64_t line = 0;
};

// `name` is the file's, for errors. UsageError for: a table header, a doubled key, a missing or unquoted value, a string that does not
// close, text after a value, a nested list, dates. Escapes in "..." are \" \\ \n \t \r \b \f, and \u with four hex digits; '...' has none.
std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& name);

// A string with its quotes and escapes.
std::string toml_string(std::string_view text);
std::string toml_list(const std::vector<std::string>& texts);
// The shortest digits that read back as the same number.
std::string toml_number(double value);

}  // namespace dura
