// What every test on the stand-ins begins with.
#pragma once
#include "tests/engine/cuda/card/stand_in/stand_in.h"
#include "tests/support/catch.h"

namespace dura::cuda::stand_in {

// At the end of a test nothing may have been complained about.
struct Faultless {
  Faultless() { complaints().clear(); }
  ~Faultless() {
    for (const std::string& c : complaints()) FAIL_CHECK(c);
    complaints().clear();
  }
};

}  // namespace dura::cuda::stand_in
