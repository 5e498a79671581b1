// The files of torch.save (.pth, .pt), read natively: both containers, state dicts of tensors, nothing executed (see pickle.h).
// Invariant: every element that is handed out lies inside a storage of the file; sizes, strides and offsets are checked for overflow first.
#pragma once
#include <filesystem>
#include <string>

#include "weights/safetensors.h"
#include "weights/state.h"

namespace dura {

// The tensors of a state dict in their order. A dict that holds the state dict under a usual name ("state_dict", "model", ...) is looked
// into; other nested dicts give names joined by dots. Values that are no tensors are left out and logged. Contiguous tensors share `bytes`.
// Throws Error naming `file`.
StateDict parse_pth(const SharedBytes& bytes, const std::string& file);

// Any weight file that dura reads, told apart by its first bytes, not by its name: safetensors, or either container of torch.save.
StateDict read_weights(const std::filesystem::path& path);

}  // namespace dura
