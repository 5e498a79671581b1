// The card's side of driver.h: CUDA's runtime, cuDNN and cublasLt. Calls that fail throw DriverError with the runtime's own number and
// words.
#pragma once
#include <memory>
#include <string>

#include "engine/cuda/driver.h"

namespace dura::cuda {

// Why no card can be used, in one line; "" where one can. Looks for a driver and a card of compute capability 8.0 or more, then for cuDNN
// and cublasLt, and names the first that is missing.
std::string why_no_card();

// The parts of that answer, "" or what is missing.
std::string card_missing();
std::string cudnn_missing();

// The first card, or where several processes were started together on a machine, the one of this process's number among them; of those that
// CUDA_VISIBLE_DEVICES leaves. Throws UsageError with why_no_card().
std::unique_ptr<Driver> make_card_driver();

}  // namespace dura::cuda
