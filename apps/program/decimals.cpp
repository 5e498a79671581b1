#include "apps/program/decimals.h"

#include <cmath>
#include <iomanip>
#include <sstream>

namespace dura {

std::string fixed(double v, int digits) {
  if (!std::isfinite(v)) return "-";
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << v;
  return out.str();
}

}  // namespace dura
