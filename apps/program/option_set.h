// The options of a program. One description of each serves the command line, the configuration file, --help, and the configuration that
// says what was run. A program that starts another describes that one's options in the same way and hands them over as a file.
// Invariant: what resolved_configuration() returns, given back with --config, leads to the same values.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace dura {

struct TextRules {
  bool required = false;
  std::vector<std::string> choices = {};  // empty: any text
};
struct ListRules {
  bool required = false;
  bool one_each = false;  // takes one value each time it is given, so that positional arguments may follow
};
// Bounds are allowed values, unless `above_min`. Infinity and NaN are never allowed.
template <class T>
struct NumberRules {
  T min = std::numeric_limits<T>::lowest(), max = std::numeric_limits<T>::max();
  bool above_min = false;  // min itself is not allowed
};

class OptionSet {
 public:
  explicit OptionSet(std::string program) : program_(std::move(program)) {}
  OptionSet(const OptionSet&) = delete;
  OptionSet& operator=(const OptionSet&) = delete;

  // Each binds one option to a variable that holds its default and must outlive this object. A name such as "--epochs" is also a key of the
  // configuration file ("epochs"); a name without dashes is positional. A list takes all values that follow it (up to the next option or
  // --) unless its rules say one_each, and may be given several times.
  void text(const std::string& name, std::string& value, const std::string& help, const TextRules& rules = {});
  void list(const std::string& name, std::vector<std::string>& value, const std::string& help, const ListRules& rules = {});
  void integer(const std::string& name, int64_t& value, const std::string& help, const NumberRules<int64_t>& rules = {});
  void number(const std::string& name, double& value, const std::string& help, const NumberRules<double>& rules = {});
  // Off unless given; "--flag=false" turns one off that the configuration file turned on.
  void flag(const std::string& name, bool& value, const std::string& help);
  // The options declared from here on stand under this heading in --help.
  void heading(const std::string& title) { heading_ = title; }

  // As the configuration file does: `key` without dashes.
  void set(const std::string& key, const std::vector<std::string>& values) { of_key(key, "").read(values, key); }
  // Every option's value as TOML, defaults included, one `key = value` line each.
  std::string resolved_configuration() const;

 protected:
  const std::string& program_name() const { return program_; }
  // The last option declared belongs to the command line alone, and has its value from split() on.
  void not_in_configuration() { all_.back().toml = nullptr; }
  // Tells which words of the command line (argv without the program) are whose. UsageError for an option that there is not, one without its
  // value, one given twice, a word too many.
  void split(const std::vector<std::string>& words);
  // Gives every option its value: of the command line, else of the configuration file (no name: none), else its default. UsageError for
  // values that are not allowed, missing options, and whatever of the file is not understood, with its line.
  void read(const std::string& configuration_file);
  std::string help() const;
  // A script that lets bash complete the program's options and their choices; file names where any text may stand.
  std::string completion() const;

 private:
  // `where` names the value in errors: "--epochs", "run.toml, line 3: epochs".
  using Read = std::function<void(const std::vector<std::string>& values, const std::string& where)>;
  struct Option {
    std::string name, key, heading, type, help;  // "--epochs", "epochs", "Training", "INT=3", "Passes over the images"
    bool required, is_list, is_flag;
    bool one_each = false;
    Read read;
    std::function<std::string()> toml;
    std::vector<std::string> choices = {};  // empty: any text, or a number
    bool is_number = false;
    std::vector<std::string> given = {};  // on the command line
  };
  // The option as most of them are, for its caller to change.
  Option& add(const std::string& name, const std::string& type, const std::string& shown_default, const std::string& help, Read read);
  template <class T>
  void add_number(const std::string& name, T& value, const std::string& help, const NumberRules<T>& rules);
  Option& of_key(const std::string& key, const std::string& where);
  [[noreturn]] void refuse(const std::string& what) const;

  std::string program_, heading_ = "Options";
  std::vector<Option> all_;
};

}  // namespace dura
