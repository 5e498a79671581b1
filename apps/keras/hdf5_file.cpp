#include "apps/keras/hdf5_file.h"

#include <algorithm>
#include <fstream>

#include "engine/base/text.h"
#include "weights/safetensors.h"

#ifdef DURA_HAS_HDF5
#include <hdf5.h>
#endif

namespace dura {

bool is_hdf5(const std::filesystem::path& file) {
  constexpr std::string_view signature = "\x89HDF\r\n\x1a\n";
  std::string bytes(signature.size(), '\0');
  std::ifstream in(file, std::ios::binary);
  return in.read(bytes.data(), std::ssize(bytes)) && bytes == signature;
}

#ifndef DURA_HAS_HDF5

bool has_hdf5() { return false; }

std::vector<Hdf5Array> read_hdf5(const std::filesystem::path& file) {
  fail(file.string(), ": an HDF5 file (Keras?), and this dura was built without HDF5. Install libhdf5-dev and build it again.");
}

#else

bool has_hdf5() { return true; }

namespace {

constexpr int most_depth = 16, most_rank = 4;
constexpr size_t most_objects = 100000, most_text = 1024;
// The best that HDF5's compression can do.
constexpr uint64_t most_expansion = 1100;

// What the HDF5 library hands out, given back by the function that belongs to it.
class Handle {
 public:
  Handle(hid_t id, herr_t (*give_back)(hid_t)) : id_(id), give_back_(give_back) {}
  ~Handle() {
    if (id_ >= 0) give_back_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*give_back_)(hid_t);
};

herr_t note_hard_link(hid_t, const char* name, const H5L_info_t* link, void* names) {
  if (link->type == H5L_TYPE_HARD) static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) : file_(file.string()), bytes_(std::filesystem::file_size(file)) {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // nothing is printed
    H5PLset_loading_state(0);                     // no filter is loaded from anywhere
    const Handle h5(H5Fopen(file_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
    require(h5 >= 0, "");
    const Handle root(H5Gopen2(h5, "/", H5P_DEFAULT), H5Gclose);
    require(root >= 0, "");
    read_group(root, "", 0);
  }

  std::vector<Hdf5Array> arrays;

 private:
  void require(bool condition, const std::string& path) const {
    DURA_CHECK(condition, file_, ": the HDF5 library cannot read ", path.empty() ? "it" : quote(path), ". The file is damaged or cut off.");
  }

  void read_group(hid_t group, const std::string& path, int depth) {
    DURA_CHECK(depth <= most_depth, file_, ": groups are nested more than ", most_depth, " deep at ", quote(path));
    std::vector<std::string> names;
    require(H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, note_hard_link, &names) >= 0, path);
    const std::string said = name_of(group, path);
    for (const std::string& name : names) {
      DURA_CHECK(++objects_ <= most_objects, file_, ": holds more than ", most_objects, " objects");
      const std::string inner = path.empty() ? name : concat(path, "/", name);
      const Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose);
      require(object >= 0, inner);
      const H5I_type_t type = H5Iget_type(object);
      if (type == H5I_GROUP) read_group(object, inner, depth + 1);
      if (type == H5I_DATASET) read_array(object, inner, said);
    }
  }

  // The text attribute `name`.
  std::string name_of(hid_t group, const std::string& path) const {
    if (H5Aexists(group, "name") <= 0) return "";
    const Handle attribute(H5Aopen(group, "name", H5P_DEFAULT), H5Aclose);
    require(attribute >= 0, path);
    const Handle type(H5Aget_type(attribute), H5Tclose), space(H5Aget_space(attribute), H5Sclose);
    if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1) return "";
    if (H5Tis_variable_str(type) > 0) {
      char* text = nullptr;
      require(H5Aread(attribute, type, &text) >= 0 && text, path);
      std::string name = std::string(text).substr(0, most_text);
      H5free_memory(text);
      return name;
    }
    std::string name(std::min(H5Tget_size(type), most_text + 1), '\0');
    require(name.size() <= most_text && H5Aread(attribute, type, name.data()) >= 0, path);
    return name.substr(0, name.find('\0'));
  }

  void read_array(hid_t dataset, const std::string& path, const std::string& group) {
    const Handle type(H5Dget_type(dataset), H5Tclose), space(H5Dget_space(dataset), H5Sclose), made(H5Dget_create_plist(dataset), H5Pclose);
    require(type >= 0 && space >= 0 && made >= 0, path);
    if (H5Tget_class(type) != H5T_FLOAT) return;
    const int rank = H5Sget_simple_extent_ndims(space);
    DURA_CHECK(rank <= most_rank, file_, ": ", quote(path), " has ", rank, " dimensions, at most ", most_rank, " are read");
    require(rank >= 0 && H5Sget_simple_extent_type(space) != H5S_NULL, path);
    const H5D_layout_t layout = H5Pget_layout(made);
    DURA_CHECK(H5Pget_external_count(made) == 0 && (layout == H5D_COMPACT || layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED), file_,
               ": ", quote(path), " keeps its numbers in another file, which is not read");
    hsize_t extents[most_rank] = {};
    require(H5Sget_simple_extent_dims(space, extents, nullptr) == rank, path);
    Dimensions dimensions;
    uint64_t count = 1;
    for (int i = 0; i < rank; ++i) {
      DURA_CHECK(extents[i] <= max_weight_file_bytes && (count *= extents[i]) <= max_weight_file_bytes, file_, ": ", quote(path),
                 " is larger than any weight");
      dimensions.push_back(static_cast<int64_t>(extents[i]));
    }
    total_ += count * sizeof(float);
    DURA_CHECK(total_ <= std::min(max_weight_file_bytes, most_expansion * bytes_), file_, ": claims ", total_, " bytes of numbers, it has ",
               bytes_, ". The file is damaged.");
    std::vector<float> values(count);
    if (count > 0) require(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0, path);
    arrays.push_back({path, group, Array::of(dimensions, ElementType::f32, values)});
  }

  std::string file_;
  uint64_t bytes_, total_ = 0;
  size_t objects_ = 0;
};

}  // namespace

std::vector<Hdf5Array> read_hdf5(const std::filesystem::path& file) { return std::move(Reader(file).arrays); }

#endif

}  // namespace dura
