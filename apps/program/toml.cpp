#include "apps/program/toml.h"

#include <charconv>
#include <cmath>
#include <set>

#include "engine/base/check.h"

namespace dura {

namespace {

bool is_bare(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-'; }

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

class TomlParser {
 public:
  TomlParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  std::vector<TomlEntry> parse() {
    std::vector<TomlEntry> entries;
    std::set<std::string> seen;
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
    for (skip_blank(true); !at_end(); skip_blank(true)) {
      TomlEntry entry = parse_entry();
      if (!seen.insert(entry.key).second) error("`" + entry.key + "` is set a second time; keep one of the lines");
      entries.push_back(std::move(entry));
    }
    return entries;
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  [[noreturn]] void error(const std::string& what) const { fail_usage(name_, ", line ", line_, ": ", what, "."); }

  // Spaces and comments, and line ends too where `lines` is set.
  void skip_blank(bool lines) {
    for (; !at_end(); ++at_) {
      const char c = peek();
      if (c == '#') {
        while (!at_end() && peek() != '\n') ++at_;
        if (at_end()) return;
      }
      if (peek() == '\n') {
        if (!lines) return;
        ++line_;
      } else if (peek() != ' ' && peek() != '\t' && peek() != '\r') {
        return;
      }
    }
  }

  TomlEntry parse_entry() {
    if (peek() == '[') error("table headers such as [name] are not used here; write plain `key = value` lines");
    TomlEntry entry;
    entry.line = line_;
    while (is_bare(peek())) entry.key += text_[at_++];
    if (entry.key.empty()) error("a line must begin with the name of a setting, as in `epochs = 3`");
    skip_blank(false);
    if (peek() != '=') error("`" + entry.key + "` must be followed by = and a value");
    ++at_;
    skip_blank(false);
    if (peek() == '[') {
      entry.is_list = true;
      parse_list(entry);
    } else {
      entry.values.push_back(parse_value());
    }
    skip_blank(false);
    if (!at_end() && peek() != '\n') error("there is text after the value of `" + entry.key + "`; strings need quotes");
    return entry;
  }

  void parse_list(TomlEntry& entry) {
    ++at_;
    for (skip_blank(true); peek() != ']'; skip_blank(true)) {
      if (peek() == '[') error("`" + entry.key + "` has a list in a list");
      entry.values.push_back(parse_value());
      skip_blank(true);
      if (peek() == ',') {
        ++at_;
      } else if (peek() != ']') {
        error("the list of `" + entry.key + "` needs a comma or ] here");
      }
    }
    ++at_;
  }

  std::string parse_value() {
    if (peek() == '"' || peek() == '\'') return parse_string();
    std::string word;
    while (is_bare(peek()) || peek() == '.' || peek() == '+') word += text_[at_++];
    if (word.empty()) error("a value is missing");
    if (word == "true" || word == "false") return word;
    double number = 0;
    const char* begin = word.data() + (word[0] == '+' ? 1 : 0);
    const auto [end, status] = std::from_chars(begin, word.data() + word.size(), number);
    if (status == std::errc::invalid_argument || end != word.data() + word.size())
      error("`" + word + "` is neither a number nor true or false; a text needs quotes: \"" + word + "\"");
    return word.substr(static_cast<size_t>(begin - word.data()));
  }

  std::string parse_string() {
    const char quote = text_[at_++];
    if (text_.substr(at_, 2) == std::string(2, quote)) error("strings in three quotes are not used here");
    std::string out;
    for (;;) {
      if (at_end() || peek() == '\n') error("a string does not close before the end of its line");
      const char c = text_[at_++];
      if (c == quote) return out;
      if (c == '\\' && quote == '"') {
        parse_escape(out);
      } else {
        out += c;
      }
    }
  }

  void parse_escape(std::string& out) {
    const char c = peek();
    if (!at_end()) ++at_;
    switch (c) {
      case '"':
      case '\\':
        out += c;
        return;
      case 'n':
        out += '\n';
        return;
      case 't':
        out += '\t';
        return;
      case 'r':
        out += '\r';
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'u': {
        uint32_t code = 0;
        const std::string_view digits = text_.substr(at_, 4);
        const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        if (digits.size() < 4 || status != std::errc() || end != digits.data() + 4 || code == 0 || (code >= 0xd800 && code < 0xe000))
          error("\\u needs the four hexadecimal digits of a character");
        at_ += 4;
        append_utf8(out, code);
        return;
      }
      default:
        error(std::string("\\") + c + " is no escape of TOML; a backslash in a path is written \\\\, or the string in '...'");
    }
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& name) { return TomlParser(text, name).parse(); }

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (code < 0x20 || code == 0x7f) {
      constexpr char hex[] = "0123456789abcdef";
      out += "\\u00";
      out += hex[code >> 4];
      out += hex[code & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string toml_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) out += (out.size() > 1 ? ", " : "") + toml_string(text);
  return out + "]";
}

std::string toml_number(double value) {
  DURA_CHECK(std::isfinite(value), "a configuration holds finite numbers, ", value, " was given");
  char digits[32];
  const auto [end, status] = std::to_chars(digits, digits + sizeof digits, value);
  DURA_CHECK(status == std::errc(), "a number could not be written");
  std::string out(digits, end);
  // TOML tells floats from integers by the point or exponent.
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

}  // namespace dura
