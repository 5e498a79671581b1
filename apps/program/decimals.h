// Numbers as people read them: in tables on a terminal, on pages, in sentences.
#pragma once
#include <cmath>
#include <cstdio>
#include <string>

namespace dura {

// What printf makes of it.
template <class... Values>
std::string printed(const char* format, Values... values) {
  std::string text(static_cast<size_t>(std::snprintf(nullptr, 0, format, values...)), '\0');
  std::snprintf(text.data(), text.size() + 1, format, values...);
  return text;
}

// "0.123"; "-" for NaN and the infinities.
inline std::string fixed(double v, int digits = 3) { return std::isfinite(v) ? printed("%.*f", digits, v) : "-"; }

}  // namespace dura
