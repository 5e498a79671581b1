// A number as dura's JSON files hold it; for .cpp files.
#pragma once
#include <cmath>
#include <nlohmann/json.hpp>

namespace dura {

// null for NaN and the infinities, which JSON has no words for
inline nlohmann::ordered_json json_number(double v) { return std::isfinite(v) ? nlohmann::ordered_json(v) : nlohmann::ordered_json(nullptr); }

}  // namespace dura
