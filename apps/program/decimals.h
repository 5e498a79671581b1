// Numbers as people read them: in tables on a terminal, on pages, in sentences.
#pragma once
#include <string>

namespace dura {

// "0.123"; "-" for NaN and the infinities.
std::string fixed(double v, int digits = 3);

}  // namespace dura
