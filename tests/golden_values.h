// Reads golden files whose lines are a name and its numbers.
#pragma once
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "engine/check.h"

namespace dura::golden {

class GoldenValues {
 public:
  // `name` in tests/golden.
  explicit GoldenValues(const std::string& name) : name_(name) {
    std::ifstream file(std::string(DURA_SOURCE_DIR) + "/tests/golden/" + name);
    DURA_CHECK(file.good(), "cannot open tests/golden/", name, ". The golden values belong to the source tree.");
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string key;
      words >> key;
      for (double v; words >> v;) values_[key].push_back(v);
    }
  }
  const std::vector<double>& operator[](const std::string& key) const {
    const auto found = values_.find(key);
    DURA_CHECK(found != values_.end(), "tests/golden/", name_, " has no line '", key, "'");
    return found->second;
  }

 private:
  std::string name_;
  std::map<std::string, std::vector<double>> values_;
};

}  // namespace dura::golden
