// Golden files of the simplest kind: each line is a name and its numbers.
#pragma once
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/folders.h"
#include "engine/base/check.h"

namespace dura::test {

using NamedValues = std::map<std::string, std::vector<double>>;

// A file of tests/golden. A name that is asked for and not there gives an empty list, so tests check sizes or index with at().
inline NamedValues read_named_values(const std::string& name) {
  std::ifstream file(source_folder() + "/tests/golden/" + name);
  NamedValues values;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    for (double v; words >> v;) values[key].push_back(v);
  }
  DURA_CHECK(!values.empty(), "tests/golden/", name, " cannot be read or is empty");
  return values;
}

}  // namespace dura::test
