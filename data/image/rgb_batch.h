// Pictures side by side, as a network takes them.
#pragma once
#include <vector>

#include "data/image/image.h"
#include "engine/core/tensor.h"

namespace dura {

// u8 (N,H,W,3) on the CPU. The pictures must have one size; a gray one gets three equal channels.
Tensor rgb_batch(const std::vector<Image>& pictures);

}  // namespace dura
