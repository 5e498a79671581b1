// HDF5 files, as far as Keras writes them: groups in groups, and arrays of numbers. Read by the HDF5 library, which is found when dura is
// built, or not. Only what lies in the file itself is read: links to other files, arrays kept in other files, and filters that would have
// to be loaded are refused or passed over.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "weights/state.h"

namespace dura {

struct Hdf5Array {
  std::string path;   // "model_weights/conv1_conv/conv1_conv/kernel:0"
  std::string group;  // the text attribute `name` of the group that it lies in; empty where there is none
  Array array;        // f32, at most four dimensions
};

// Whether this build reads HDF5.
bool has_hdf5();

// By its first bytes.
bool is_hdf5(const std::filesystem::path& file);

// Every array of floating-point numbers, of any width, as f32; in the order of the paths. Error: damaged, not what Keras writes, more
// numbers than a file of its size can hold; or a build without HDF5.
std::vector<Hdf5Array> read_hdf5(const std::filesystem::path& file);

}  // namespace dura
