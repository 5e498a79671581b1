// Prints what of a card and its libraries can be used in this process, one line each: "ok", or the words that a program gives as its
// reason. ctest runs it with libraries hidden or replaced by the toolkit's stub.
//   usage: cuda_card_check [--properties FILE]   also writes the card's properties, as cuDNN describes them (tests/engine/cuda/card/h100.json is such a
//   file)
#include <cstring>
#include <fstream>
#include <iostream>

#include "engine/cuda/card/card_driver.h"
#include "engine/cuda/card/cublas_product.h"
#include "engine/cuda/card/cudnn_plan.h"

using namespace dura::cuda;

namespace {

void line(const char* part, const std::string& missing) { std::cout << part << ": " << (missing.empty() ? "ok" : missing) << "\n"; }

int write_properties(const char* path) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << card_properties() << "\n";
  file.close();
  if (!file) std::cerr << path << " cannot be written\n";
  return file ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  line("card", card_missing());
  line("cuDNN", cudnn_missing());
  line("cublasLt", cublas_missing());
  try {
    make_card_driver();
    line("driver", "");
  } catch (const dura::Error& e) {
    line("driver", e.what());
    return 0;
  }
  if (count != 3 || std::strcmp(arguments[1], "--properties") != 0) return 0;
  try {
    return write_properties(arguments[2]);
  } catch (const dura::Error& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
}
