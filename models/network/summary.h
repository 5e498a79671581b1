// The table of a network, from a dry run of it: nothing here is kept by hand.
#pragma once
#include <string>
#include <vector>

#include "models/network/classifier.h"

namespace dura {

struct SummaryRow {
  std::string name;  // of the module
  Shape output;
  int64_t parameters = 0;
  int64_t macs = 0;  // multiply-accumulates of one image
};

struct Summary {
  std::vector<SummaryRow> rows;
  int64_t parameters = 0, macs = 0;
  std::string text() const;
};

// One image of height x width through `model` on the meta device.
Summary summarise(const ClassifierOptions& options, int64_t height, int64_t width);

}  // namespace dura
