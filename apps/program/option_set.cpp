#include "apps/program/option_set.h"

#include <algorithm>
#include <cctype>
#include <type_traits>

#include "apps/program/program.h"
#include "apps/program/toml.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace dura {
namespace {

constexpr uint64_t max_configuration_bytes = uint64_t{1} << 20;
constexpr size_t help_column = 30;
constexpr const char* positionals = "Positionals";

// "-" is a value, and so is "-1".
bool is_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && (word[1] == '-' || std::isalpha(static_cast<unsigned char>(word[1])));
}

template <class T>
T parse(const std::string& text, const std::string& where, const NumberRules<T>& rules) {
  const std::optional<T> parsed = parse_number<T>(text);
  if (!parsed) fail_usage(where, " is ", text, "; it must be a ", std::is_integral_v<T> ? "whole" : "finite", " number.");
  const T value = *parsed;
  if (value < rules.min || (rules.above_min && value == rules.min))
    fail_usage(where, " is ", text, "; it must be ", rules.above_min ? "greater than " : "at least ", rules.min, ".");
  if (value > rules.max) fail_usage(where, " is ", text, "; it must be at most ", rules.max, ".");
  return value;
}

}  // namespace

void OptionSet::refuse(const std::string& what) const { fail_usage(what, ". See ", program_, " --help."); }

OptionSet::Option& OptionSet::add(const std::string& name, const std::string& type, const std::string& shown_default,
                                  const std::string& help, Read read) {
  const bool positional = !is_option(name);
  all_.push_back({.name = name,
                  .key = positional ? name : name.substr(2),
                  .heading = positional ? positionals : heading_,
                  .type = type + (shown_default.empty() ? "" : "=") + shown_default,
                  .help = help,
                  .required = false,
                  .is_list = false,
                  .is_flag = false,
                  .read = std::move(read),
                  .toml = {}});
  return all_.back();
}

void OptionSet::text(const std::string& name, std::string& value, const std::string& help, const TextRules& rules) {
  Option& o = add(name, rules.choices.empty() ? "TEXT" : joined(rules.choices, "|"), value, help,
                  [&value, rules](const std::vector<std::string>& values, const std::string& where) {
                    const std::string& given = values.front();
                    if (!rules.choices.empty() && std::find(rules.choices.begin(), rules.choices.end(), given) == rules.choices.end())
                      fail_usage(where, " is ", given, "; it must be one of ", joined(rules.choices, ", "), ".");
                    if (rules.required && given.empty()) fail_usage(where, " is empty.");
                    value = given;
                  });
  o.required = rules.required;
  o.choices = rules.choices;
  o.toml = [&value] { return toml_string(value); };
}

void OptionSet::list(const std::string& name, std::vector<std::string>& value, const std::string& help, const ListRules& rules) {
  Option& o =
      add(name, "TEXT ...", joined(value, " "), help, [&value, rules](const std::vector<std::string>& values, const std::string& where) {
        if (rules.required && values.empty()) fail_usage(where, " is empty.");
        value = values;
      });
  o.required = rules.required;
  o.is_list = true;
  o.one_each = rules.one_each;
  if (o.one_each) o.type = "TEXT";
  o.toml = [&value] { return toml_list(value); };
}

template <class T>
void OptionSet::add_number(const std::string& name, T& value, const std::string& help, const NumberRules<T>& rules) {
  Option& o = add(name, std::is_integral_v<T> ? "INT" : "NUMBER", concat(value), help,
                  [&value, rules](const std::vector<std::string>& values, const std::string& where) {
                    value = parse<T>(values.front(), where, rules);
                  });
  o.is_number = true;
  o.toml = [&value] { return toml_number(value); };
}

void OptionSet::integer(const std::string& name, int64_t& value, const std::string& help, const NumberRules<int64_t>& rules) {
  add_number(name, value, help, rules);
}

void OptionSet::number(const std::string& name, double& value, const std::string& help, const NumberRules<double>& rules) {
  add_number(name, value, help, rules);
}

void OptionSet::flag(const std::string& name, bool& value, const std::string& help) {
  Option& o = add(name, "", "", help, [&value](const std::vector<std::string>& values, const std::string& where) {
    const std::string& given = values.back();  // of a flag given twice the last counts
    if (given != "true" && given != "false") fail_usage(where, " is ", given, "; it must be true or false.");
    value = given == "true";
  });
  o.is_flag = true;
  o.toml = [&value] { return value ? "true" : "false"; };
}

void OptionSet::split(const std::vector<std::string>& words) {
  Option* open = nullptr;  // it takes the words that follow
  size_t values_before = 0;
  const auto close = [&] {
    if (open && open->given.size() == values_before) refuse(open->name + " needs a value: " + open->type);
    open = nullptr;
  };
  bool options_end = false;
  for (const std::string& word : words) {
    if (!options_end && is_option(word)) {
      close();
      options_end = word == "--";
      if (options_end) continue;
      const size_t equals = word.find('=');
      const std::string name = word == "-h" ? "--help" : word.substr(0, equals);
      const auto found = std::find_if(all_.begin(), all_.end(), [&](const Option& o) { return o.name == name; });
      if (found == all_.end()) refuse("there is no option " + name);
      if (!found->is_list && !found->is_flag && !found->given.empty()) refuse(name + " is given twice");
      values_before = found->given.size();
      const bool has_value = equals != std::string::npos;
      if (has_value || found->is_flag) found->given.push_back(has_value ? word.substr(equals + 1) : "true");
      const bool takes_more = found->is_list && !found->one_each;
      if (takes_more || (!has_value && !found->is_flag)) open = &*found;
      continue;
    }
    if (!open) {
      const auto next = std::find_if(all_.begin(), all_.end(),
                                     [](const Option& o) { return o.heading == positionals && (o.is_list || o.given.empty()); });
      if (next == all_.end()) refuse("'" + word + "' is one argument too many");
      next->given.push_back(word);
      continue;
    }
    open->given.push_back(word);
    if (!open->is_list || open->one_each) open = nullptr;
  }
  close();
  for (const Option& o : all_)
    if (!o.toml && !o.given.empty()) o.read(o.given, o.name);
}

OptionSet::Option& OptionSet::of_key(const std::string& key, const std::string& where) {
  const auto found = std::find_if(all_.begin(), all_.end(), [&](const Option& o) { return o.toml && o.key == key; });
  if (found == all_.end()) fail_usage(where, key, " is no setting of ", program_, ". --help lists them.");
  return *found;
}

void OptionSet::read(const std::string& configuration_file) {
  std::vector<TomlEntry> entries;
  if (!configuration_file.empty()) entries = parse_toml(read_text_file(configuration_file, max_configuration_bytes), configuration_file);
  for (const TomlEntry& entry : entries) {
    const std::string line = concat(configuration_file, ", line ", entry.line, ": "), where = line + entry.key;
    Option& option = of_key(entry.key, line);
    if (entry.values.size() != 1 && !option.is_list) fail_usage(where, " must have one value, ", entry.values.size(), " are given.");
    option.read(entry.values, where);
    option.required = false;
  }
  std::vector<std::string> missing;
  for (const Option& o : all_) {
    if (!o.given.empty()) o.read(o.given, o.name);
    if (o.given.empty() && o.required) missing.push_back(o.name);
  }
  if (!missing.empty()) fail_usage(joined(missing, ", "), missing.size() == 1 ? " is" : " are", " required.");
}

std::string OptionSet::resolved_configuration() const {
  std::string out = "# Settings of " + program_ + " " + dura_version() + ". Run again with --config and this file.\n";
  for (const Option& o : all_)
    if (o.toml) out += o.key + " = " + o.toml() + "\n";
  return out;
}

std::string OptionSet::help() const {
  std::string text = "Usage: " + program_ + " [OPTIONS]";
  std::vector<std::string> headings = {positionals};
  for (const Option& o : all_) {
    if (o.heading == positionals) text += (o.required ? " " : " [") + o.name + (o.is_list ? " ..." : "") + (o.required ? "" : "]");
    if (std::find(headings.begin(), headings.end(), o.heading) == headings.end()) headings.push_back(o.heading);
  }
  text += "\n";
  for (const std::string& heading : headings) {
    std::string group;
    for (const Option& o : all_) {
      if (o.heading != heading) continue;
      std::string line = "  " + o.name + (o.is_flag ? "" : " ") + o.type;
      line += line.size() + 2 <= help_column ? std::string(help_column - line.size(), ' ') : "\n" + std::string(help_column, ' ');
      group += line + o.help + (o.required ? " (required)" : "") + "\n";
    }
    if (!group.empty()) text += "\n" + heading + ":\n" + group;
  }
  return text;
}

}  // namespace dura
