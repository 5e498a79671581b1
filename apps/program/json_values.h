// Numbers as dura's JSON files hold them; for .cpp files.
#pragma once
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

namespace dura {

// null for NaN and the infinities, which JSON has no words for
inline nlohmann::ordered_json json_number(double v) {
  return std::isfinite(v) ? nlohmann::ordered_json(v) : nlohmann::ordered_json(nullptr);
}

// NaN for null
inline double number(const nlohmann::json& j) { return j.is_number() ? j.get<double>() : std::numeric_limits<double>::quiet_NaN(); }

inline std::vector<double> numbers(const nlohmann::json& list) {
  std::vector<double> values;
  for (const nlohmann::json& j : list) values.push_back(number(j));
  return values;
}

}  // namespace dura
