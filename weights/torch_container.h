// The two containers that torch.save has written: a zip file with one entry per storage (since 1.6), and before that five pickles
// followed by the storages. Both give the same: one pickle, and the raw bytes of the storages it refers to.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "weights/pickle.h"

namespace dura {

struct TorchContainer {
  Pickle pickle;
  std::map<std::string_view, std::span<const uint8_t>> storages;  // by key
};

// `bytes` must outlive the result. Throw Error naming `file`.
TorchContainer read_torch_zip(std::span<const uint8_t> bytes, const std::string& file);
TorchContainer read_torch_legacy(std::span<const uint8_t> bytes, const std::string& file);

}  // namespace dura
