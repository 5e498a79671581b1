#include "apps/program/toml.h"

#include <toml++/toml.h>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {
namespace {

// `where` names the setting, for errors.
std::string setting_text(const toml::node& value, const std::string& where) {
  if (const auto* text = value.as_string()) return text->get();
  if (const auto* whole = value.as_integer()) return std::to_string(whole->get());
  if (const auto* number = value.as_floating_point()) return toml_number(number->get());
  if (const auto* truth = value.as_boolean()) return truth->get() ? "true" : "false";
  fail_usage(where, " is a ",
             value.is_table()   ? "table"
             : value.is_array() ? "list in a list"
                                : "date or time",
             "; settings are plain `key = value` lines.");
}

}  // namespace

std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& name) {
  std::vector<TomlEntry> entries;
  try {
    for (const auto& [key, value] : toml::parse(text, std::string_view(name))) {
      TomlEntry entry = {.key = std::string(key.str()), .values = {}, .is_list = value.is_array(), .line = value.source().begin.line};
      const std::string where = concat(name, ", line ", entry.line, ": ", entry.key);
      if (const toml::array* list = value.as_array()) {
        for (const toml::node& element : *list) entry.values.push_back(setting_text(element, where));
      } else {
        entry.values.push_back(setting_text(value, where));
      }
      entries.push_back(std::move(entry));
    }
  } catch (const toml::parse_error& e) {
    fail_usage(name, ", line ", e.source().begin.line, ": ", e.description(),
               ". A line is `key = value`; a text needs quotes, a list brackets and commas; a path with backslashes stands in '...'.");
  }
  return entries;
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (code < 0x20 || code == 0x7f) {
      out += "\\u00" + hex_digits(code);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string toml_list(const std::vector<std::string>& texts) {
  std::vector<std::string> strings;
  for (const std::string& text : texts) strings.push_back(toml_string(text));
  return "[" + joined(strings, ", ") + "]";
}

std::string toml_number(double value) {
  const std::string out = shortest(value);
  // TOML tells floats from integers by the point or exponent; "inf" and "nan" are its words for those.
  return out.find_first_of(".ein") == std::string::npos ? out + ".0" : out;
}

}  // namespace dura
