// Numbers as dura's JSON files hold them; for .cpp files. NaN and the infinities, which JSON has no words for, are written as null.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "apps/program/text_table.h"
#include "engine/base/file.h"

namespace dura {

// NaN for null
inline double number(const nlohmann::json& j) { return j.is_number() ? j.get<double>() : NAN; }

// "-" for null
inline std::string fixed(const nlohmann::json& j, int digits = 3) { return fixed(number(j), digits); }

inline std::vector<double> numbers(const nlohmann::json& list) {
  std::vector<double> values;
  for (const nlohmann::json& j : list) values.push_back(number(j));
  return values;
}

// Calls `use` with what the file holds, where there is one. Error where that is not what `command` writes.
template <class Use>
void with_json(const std::filesystem::path& file, const std::string& command, const Use& use) {
  if (!std::filesystem::exists(file)) return;
  try {
    use(nlohmann::json::parse(read_text_file(file, uint64_t{64} << 20)));
  } catch (const nlohmann::json::exception& e) {
    fail(file.string(), " is not what ", command.substr(0, command.find(' ')), " writes: ", e.what(), ". Run ", command, " again.");
  }
}

}  // namespace dura
