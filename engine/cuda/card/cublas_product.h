// Products of dense layers on a card, by cublasLt. An algorithm is chosen once for each shape, type and alignment, from cublasLt's
// heuristics; none whose partial sums are rounded to the output's type, and f32 products stay f32 (no TF32) unless asked for.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "engine/cuda/driver.h"

namespace dura::cuda {

// The workspace that every product is given; its owner must not use it for anything else in the same stream order.
inline constexpr size_t product_workspace_bytes = size_t{32} << 20;

class CublasProducts {
 public:
  static void open();  // opens libcublasLt; throws Error where it is missing
  CublasProducts();    // needs a card
  ~CublasProducts();

  // Queues the product into the stream (a cudaStream_t). `workspace`: product_workspace_bytes on the card. False where cublasLt has no
  // algorithm for it, which is said once.
  bool run(const Product& product, bool tf32, void* workspace, void* stream);

 private:
  struct Library;
  struct Plan;
  struct Plans;
  const Plan& plan(const Product& product, bool tf32);  // without an algorithm where cublasLt has none

  std::unique_ptr<Plans> plans_;
};

// "" where libcublasLt can be opened; else why not.
std::string cublas_missing();

}  // namespace dura::cuda
