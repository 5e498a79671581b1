// Options as bash completes them: a script made from the same descriptions as --help, so that it cannot fall behind.
#include <algorithm>

#include "apps/program/option_set.h"
#include "apps/program/program.h"
#include "engine/base/text.h"

namespace dura {

std::string OptionSet::completion() const {
  std::string function = "_" + program_;
  std::replace(function.begin(), function.end(), '-', '_');
  std::vector<std::string> names, numbers;
  std::string choices;
  for (const Option& o : all_) {
    if (!o.name.starts_with("--")) continue;
    names.push_back(o.name);
    if (o.is_number) numbers.push_back(o.name);
    if (!o.choices.empty()) choices += "    " + o.name + ") values='" + joined(o.choices, " ") + "' ;;\n";
  }
  std::string script = "# Completion of " + program_ + " " + dura_version() + " for bash, as its --completion prints it.\n" + function +
                       "() {\n"
                       "  local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} values=''\n"
                       "  # Bash takes the = of --option=value for a word.\n"
                       "  if [[ $word == = ]]; then word=''; elif [[ $option == = ]]; then option=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
                       "  COMPREPLY=()\n"
                       "  case $option in\n" +
                       choices;
  if (!numbers.empty()) script += "    " + joined(numbers, " | ") + ") compopt +o default ;;\n";
  script += "    *) if [[ $word == -* ]]; then values='" + joined(names, " ") +
            "'; fi ;;\n"
            "  esac\n"
            "  if [[ -n $values ]]; then COMPREPLY=($(compgen -W \"$values\" -- \"$word\")); fi\n"
            "}\n"
            "complete -o default -F " +
            function + " " + program_ + "\n";
  return script;
}

}  // namespace dura
