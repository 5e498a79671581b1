#include "weights/load.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "engine/base/parallel.h"
#include "engine/base/text.h"
#include "engine/core/backend.h"
#include "engine/core/tensor.h"

namespace dura {

namespace {

constexpr const char* wrappers[] = {"module.", "model.", "backbone.", "state_dict."};  // of DataParallel, Lightning and the like

// Names without the prefixes that all of them share, and without counters.
std::map<std::string, const Array*> plain_names(const StateDict& state) {
  size_t strip = 0;
  for (bool again = state.size() > 0; again;) {
    again = false;
    for (const std::string_view prefix : wrappers) {
      const auto has = [&](const StateDict::Entry& e) { return e.name.compare(strip, prefix.size(), prefix) == 0; };
      if (!std::all_of(state.entries().begin(), state.entries().end(), has)) continue;
      strip += prefix.size();
      again = true;
    }
  }
  std::map<std::string, const Array*> arrays;
  for (const StateDict::Entry& e : state.entries())
    if (!e.name.ends_with("num_batches_tracked")) arrays.emplace(e.name.substr(strip), &e.array);
  return arrays;
}

Dimensions file_dimensions(const Shape& s) {
  if (s.rank() == 4) return {s[0], s[3], s[1], s[2]};
  Dimensions d;
  for (int i = 0; i < s.rank(); ++i) d.push_back(s[i]);
  return d;
}

// `from` may lie at any address.
template <class T>
void permute(const void* from, T* to, const Shape& shape, bool to_file) {
  const int64_t K = shape[0], pixels = shape[1] * shape[2], C = shape[3];
  if (pixels == 1) {
    std::memcpy(to, from, static_cast<size_t>(K * C) * sizeof(T));
    return;
  }
  const auto* bytes = static_cast<const char*>(from);
  for (int64_t k = 0; k < K; ++k)
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t c = 0; c < C; ++c) {
        const int64_t in_dura = (k * pixels + p) * C + c, in_file = (k * C + c) * pixels + p;
        std::memcpy(to + (to_file ? in_file : in_dura), bytes + static_cast<size_t>(to_file ? in_dura : in_file) * sizeof(T), sizeof(T));
      }
}

// (K,R,S,C) <-> (K,C,R,S) of an f32 or f64 tensor; other ranks as they are. `shape` is dura's.
Tensor permuted(const Tensor& t, const Shape& shape, bool to_file) {
  if (shape.rank() != 4) return t.view(shape);
  const Tensor out = Tensor::empty(shape, t.dtype(), Device::cpu);
  if (t.dtype() == DType::f64)
    permute(t.raw(), out.data<double>(), shape, to_file);
  else
    permute(t.raw(), out.data<float>(), shape, to_file);
  return out;
}

std::string listed(const char* what, const std::vector<std::string>& names) {
  return names.empty() ? "" : concat("; ", names.size(), " ", what, ": ", first_few(names, ", ", 12));
}

// One value of the module, and the array for it; null where the file has none that fits.
struct Target {
  Parameter* parameter;  // null: a buffer
  std::string name;
  Tensor tensor;  // the master, or the buffer
  const Array* array = nullptr;

  // The value lies on the host in the array's type, and nothing else is made of it: it can be written where it lies.
  bool takes_bytes() const {
    return host_readable(tensor.device()) && tensor.dtype() == DType::f32 && array->type() == ElementType::f32 &&
           (!parameter || parameter->compute().same_bytes(parameter->master()));
  }
  void take_bytes() const {
    if (tensor.shape().rank() == 4)
      permute(array->bytes().data(), tensor.data<float>(), tensor.shape(), false);
    else if (tensor.numel() > 0)
      std::memcpy(tensor.raw(), array->bytes().data(), tensor.bytes());
  }
};

std::vector<Target> targets_of(Module& module) {
  std::vector<Target> targets;
  for (Parameter* p : module.parameters()) targets.push_back({p, p->name(), p->master()});
  for (NamedBuffer& b : module.buffers()) targets.push_back({nullptr, b.name, b.tensor});
  return targets;
}

}  // namespace

std::string LoadReport::text() const {
  return concat(loaded.size(), " tensors loaded", listed("missing", missing), listed("unexpected", unexpected),
                listed("of another shape or type", mismatched));
}

LoadReport load_state(Module& module, const StateDict& state, Strict strict, const std::string& file) {
  LoadReport report;
  std::map<std::string, const Array*> arrays = plain_names(state);
  std::vector<Target> targets = targets_of(module);
  for (Target& target : targets) {
    const auto found = arrays.find(target.name);
    if (found == arrays.end()) {
      report.missing.push_back(target.name);
      continue;
    }
    const Array& array = *found->second;
    arrays.erase(found);
    const Dimensions expected = file_dimensions(target.tensor.shape());
    if (array.dimensions() != expected || !is_floating(array.type())) {
      report.mismatched.push_back(concat(target.name, ": ", element_name(array.type()), " ", describe(array.dimensions()), " in the file, ",
                                         describe(expected), " in the model"));
      continue;
    }
    report.loaded.push_back(target.name);
    target.array = &array;
  }
  for (const auto& [name, array] : arrays) report.unexpected.push_back(name);

  DURA_CHECK(!report.loaded.empty(), file, ": none of its ", state.size(), " tensors belongs to this model (", report.text(),
             "). Is it a network of another kind or depth? Names are expected as torchvision writes them.");
  DURA_CHECK(strict == Strict::no || (report.complete() && report.unexpected.empty()), file,
             " does not fit the model exactly: ", report.text(), ". Use the options the file was made with.");

  // A model of 25 million numbers is opened for one picture: what can be copied at once is, on all threads.
  parallel_for(std::ssize(targets), [&](int64_t i) {
    const Target& target = targets[static_cast<size_t>(i)];
    if (target.array && target.takes_bytes()) target.take_bytes();
  });
  for (const Target& target : targets) {
    if (!target.array) continue;
    if (target.takes_bytes()) {
      if (target.parameter) target.parameter->values_changed();
      continue;
    }
    const Tensor values = permuted(target.array->to_tensor(target.tensor.dtype(), target.name), target.tensor.shape(), false);
    if (target.parameter)
      target.parameter->assign(values);
    else
      backend(target.tensor.device()).upload(values.raw(), target.tensor);
  }
  module.buffers_changed();
  return report;
}

std::vector<ExpectedArray> expected_arrays(Module& module) {
  std::vector<ExpectedArray> all;
  for (const Target& target : targets_of(module)) all.push_back({target.name, file_dimensions(target.tensor.shape())});
  return all;
}

StateDict state_of(Module& module) {
  StateDict state;
  for (const Target& target : targets_of(module)) {
    const Tensor host = host_copy(target.tensor);
    auto owner = std::make_shared<const Tensor>(permuted(host, host.shape(), true));
    const std::span bytes(static_cast<const uint8_t*>(owner->raw()), owner->bytes());
    state.add(target.name, Array(file_dimensions(host.shape()), element_type(host.dtype()), bytes, owner));
  }
  return state;
}

}  // namespace dura
