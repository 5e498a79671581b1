#include "apps/program/toml.h"

#include "engine/base/check.h"

namespace dura {
namespace {

struct TomlAssertion {};
[[noreturn]] void toml_assertion() { throw TomlAssertion(); }

}  // namespace
}  // namespace dura

// toml++ asserts what a file may break ("[#a]"): that must be an error of the file in every build, not an abort in one and an assumption of
// the compiler in another.
#undef NDEBUG
#define TOML_ASSERT(condition) ((condition) ? void() : ::dura::toml_assertion())
#include <toml++/toml.h>

#include "engine/base/text.h"

namespace dura {
namespace {

// The line of the first character beyond ASCII that stands neither in a text nor in a comment; 0 where there is none. toml++ 3.3 takes some
// of them (a Greek letter) to a place that its authors held unreachable, and no key or value has one.
int64_t line_beyond_ascii(std::string_view text) {
  int64_t line = 1;
  size_t i = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  const auto next = [&] { line += text[i++] == '\n'; };
  while (i < text.size()) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) >= 0x80) return line;
    if (c == '#')
      while (i < text.size() && text[i] != '\n') ++i;
    if (c != '"' && c != '\'') {
      if (i < text.size()) next();
      continue;
    }
    const std::string quotes(text.substr(i).starts_with(std::string(3, c)) ? 3 : 1, c);
    for (i += quotes.size(); i < text.size() && !text.substr(i).starts_with(quotes) && (quotes.size() == 3 || text[i] != '\n'); next())
      if (c == '"' && text[i] == '\\' && i + 1 < text.size()) next();
    // Behind the three that end a text of several lines, up to two more belong to it.
    for (size_t most = quotes.size() == 3 ? 5 : 1; most > 0 && i < text.size() && text[i] == c; --most) ++i;
  }
  return 0;
}

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
  if (const int64_t line = line_beyond_ascii(text))
    fail_usage(name, ", line ", line, ": a character beyond ASCII outside of a text. A line is `key = value`; a text needs quotes.");
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
  } catch (const TomlAssertion&) {
    fail_usage(name, ": is no TOML: a table's name or a key is not one. Lines are `key = value`.");
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
