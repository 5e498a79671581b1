// The descriptors of cuDNN's backend API as the stand-in keeps them: attributes by the documented table (type, how many values, whether
// they must be there), and what happens to one that is used too early, too late or after its end.
#pragma once
#include <cudnn_graph.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace dura::cuda::stand_in {

// What a descriptor holds. Others keep it beyond the descriptor's end, as cuDNN does.
struct Contents {
  cudnnBackendDescriptorType_t type{};
  bool finalized = false;
  struct Values {
    cudnnBackendAttributeType_t type{};
    int64_t count = 0;
    std::vector<char> bytes = {};
    std::vector<std::shared_ptr<const Contents>> descriptors = {};
  };
  std::map<int, Values> attributes;

  bool has(int attribute) const { return attributes.count(attribute) != 0; }
  template <class T>
  std::vector<T> list(int attribute) const {
    const auto found = attributes.find(attribute);
    if (found == attributes.end()) return {};
    std::vector<T> values(found->second.bytes.size() / sizeof(T));
    std::memcpy(values.data(), found->second.bytes.data(), values.size() * sizeof(T));
    return values;
  }
  template <class T>
  T one(int attribute, T otherwise = {}) const {
    const auto found = attributes.find(attribute);
    if (found == attributes.end() || found->second.bytes.size() < sizeof(T)) return otherwise;
    std::memcpy(&otherwise, found->second.bytes.data(), sizeof(T));
    return otherwise;
  }
  template <class T>
  void put(int attribute, cudnnBackendAttributeType_t value_type, const std::vector<T>& values) {
    Values& v = attributes[attribute];
    v.type = value_type, v.count = static_cast<int64_t>(values.size());
    v.bytes.resize(values.size() * sizeof(T));
    std::memcpy(v.bytes.data(), values.data(), v.bytes.size());
  }
  const std::vector<std::shared_ptr<const Contents>>& children(int attribute) const {
    static const std::vector<std::shared_ptr<const Contents>> none;
    const auto found = attributes.find(attribute);
    return found == attributes.end() ? none : found->second.descriptors;
  }
  const Contents& child(int attribute) const { return *children(attribute).at(0); }
};

// Each returns false with a complaint where the call is one that the documentation forbids.
std::shared_ptr<Contents> contents_of(const void* descriptor);  // null, with a complaint, after its end
bool set_values(Contents& to, int attribute, cudnnBackendAttributeType_t type, int64_t count, const void* values);
bool complete(const Contents& contents);  // every attribute that must be there is

void* new_descriptor(cudnnBackendDescriptorType_t type);  // null: no such type
bool end_descriptor(void* descriptor);

size_t size_of(cudnnBackendAttributeType_t type);  // bytes of a value; 0: a type that dura has none of

}  // namespace dura::cuda::stand_in
