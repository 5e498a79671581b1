// Reads tests/golden/golden.txt, which tests/golden/make_golden.py made with float64 torchvision (its docstring has the format).
#pragma once
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "tests/support/hash_weights.h"

namespace dura::golden {

struct GoldenCase {
  std::string name;
  std::map<std::string, std::string> settings;        // depth, classes, batch, size, trainable, seed, ...; "-" where empty
  std::map<std::string, std::vector<double>> values;  // by kind: logits_eval, logits, loss
  std::map<std::string, std::map<std::string, Digest>>
      digests;  // by kind, then by torchvision's name: gradient, buffer, adam_torch, adam_keras

  const std::string& setting(const std::string& key) const {
    const auto found = settings.find(key);
    DURA_CHECK(found != settings.end(), "golden case ", name, " has no setting '", key, "'");
    return found->second;
  }
  int64_t integer(const std::string& key) const { return std::stoll(setting(key)); }
  uint64_t checksum(const std::string& key) const { return std::stoull(setting(key), nullptr, 16); }
  std::vector<double> class_weights() const {  // empty: none
    std::vector<double> weights;
    std::istringstream list(setting("weights") == "-" ? "" : setting("weights"));
    for (std::string item; std::getline(list, item, ',');) weights.push_back(std::stod(item));
    return weights;
  }
};

inline std::vector<GoldenCase> read_golden(const std::string& path) {
  std::ifstream file(path);
  DURA_CHECK(file.good(), "cannot open ", path, ". The golden values belong to the source tree.");
  std::vector<GoldenCase> cases;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string record, kind, name;
    words >> record;
    if (record.empty() || record[0] == '#') continue;
    if (record == "case") {
      GoldenCase c;
      words >> c.name;
      for (std::string key, value; words >> key >> value;) c.settings[key] = value;
      cases.push_back(std::move(c));
      continue;
    }
    DURA_CHECK(!cases.empty(), path, ": a record before the first case: ", line);
    words >> kind;
    if (record == "values") {
      size_t count = 0;
      words >> count;
      std::vector<double> v(count);
      for (double& x : v) words >> x;
      cases.back().values[kind] = v;
    } else {
      DURA_CHECK(record == "digest", path, ": unknown record '", record, "'");
      Digest d;
      words >> name >> d.sum >> d.l2 >> d.projection;
      for (double& x : d.sample) words >> x;
      cases.back().digests[kind][name] = d;
    }
    DURA_CHECK(!words.fail(), path, ": damaged line: ", line.substr(0, 80));
  }
  return cases;
}

}  // namespace dura::golden
