// A program's configuration file: TOML of the form `key = value`, where a value is a text, a number, true or false, or a list of these.
// Read strictly, because a setting that is misread is an experiment that did not happen.
// Invariant: what toml_string, toml_list and toml_number write is read as the same value.
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

// By key. `name` is the file's, for errors. UsageError with the line for what is no TOML (a doubled key, a text without quotes, ...), and
// for tables, nested lists and dates.
std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& name);

// A string with its quotes and escapes.
std::string toml_string(std::string_view text);
std::string toml_list(const std::vector<std::string>& texts);
// The shortest digits that read back as the same number.
std::string toml_number(double value);
inline std::string toml_number(int64_t value) { return std::to_string(value); }

}  // namespace dura
