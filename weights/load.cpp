#include "weights/load.h"

#include <algorithm>
#include <map>

#include "engine/backend.h"

namespace dura {
namespace {

bool is_counter(const std::string& name) {
  constexpr std::string_view suffix = "num_batches_tracked";
  return name.size() >= suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// Names without the prefixes that all of them share -> arrays.
std::map<std::string, const Array*> plain_names(const StateDict& state) {
  std::map<std::string, const Array*> arrays;
  size_t strip = 0;
  for (bool again = !state.entries().empty(); again;) {
    again = false;
    for (const std::string prefix : {"module.", "model.", "backbone.", "state_dict."}) {
      const auto has = [&](const StateDict::Entry& e) { return e.name.compare(strip, prefix.size(), prefix) == 0; };
      if (!std::all_of(state.entries().begin(), state.entries().end(), has)) continue;
      strip += prefix.size();
      again = true;
    }
  }
  for (const StateDict::Entry& e : state.entries())
    if (!is_counter(e.name)) arrays.emplace(e.name.substr(strip), &e.array);
  return arrays;
}

Dimensions file_dimensions(const Shape& s) {
  if (s.rank() == 4) return {s[0], s[3], s[1], s[2]};
  Dimensions d;
  for (int i = 0; i < s.rank(); ++i) d.push_back(s[i]);
  return d;
}

template <class T>
void permute(const T* from, T* to, int64_t K, int64_t C, int64_t pixels, bool to_file) {
  for (int64_t k = 0; k < K; ++k)
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t c = 0; c < C; ++c) {
        const int64_t ours = (k * pixels + p) * C + c, files = (k * C + c) * pixels + p;
        to_file ? void(to[files] = from[ours]) : void(to[ours] = from[files]);
      }
}

// (K,R,S,C) <-> (K,C,R,S); other ranks as they are. `shape` is dura's.
Tensor permuted(const Tensor& t, const Shape& shape, bool to_file) {
  if (shape.rank() != 4) return t.view(shape);
  const Tensor out = Tensor::empty(shape, t.dtype(), Device::cpu);
  const int64_t K = shape[0], pixels = shape[1] * shape[2], C = shape[3];
  if (t.dtype() == DType::f64)
    permute(t.data<double>(), out.data<double>(), K, C, pixels, to_file);
  else
    permute(t.data<float>(), out.data<float>(), K, C, pixels, to_file);
  return out;
}

std::string listed(const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return "";
  constexpr size_t shown = 12;
  std::string text = concat("; ", names.size(), " ", what, ": ");
  for (size_t i = 0; i < std::min(names.size(), shown); ++i) text += (i ? ", " : "") + names[i];
  return names.size() > shown ? text + ", ..." : text;
}

// One value of the module that a file may hold.
struct Target {
  std::string name;
  Shape shape;
  DType dtype;  // of the master
};

}  // namespace

std::string LoadReport::text() const {
  return concat(loaded.size(), " tensors loaded", listed("missing", missing), listed("unexpected", unexpected), listed("of another shape", mismatched));
}

LoadReport load_state(Module& module, const StateDict& state, Strict strict, const std::string& file) {
  LoadReport report;
  std::map<std::string, const Array*> arrays = plain_names(state);
  // The values for a target in dura's layout; undefined where the file has none that fit.
  const auto take = [&](const Target& target) -> Tensor {
    const auto found = arrays.find(target.name);
    if (found == arrays.end()) {
      report.missing.push_back(target.name);
      return {};
    }
    const Array& a = *found->second;
    arrays.erase(found);
    if (a.dimensions() != file_dimensions(target.shape) || !is_floating(a.type())) {
      report.mismatched.push_back(concat(target.name, ": ", element_name(a.type()), " ", describe(a.dimensions()), " in the file, ", describe(file_dimensions(target.shape)), " in the model"));
      return {};
    }
    report.loaded.push_back(target.name);
    return permuted(a.to_tensor(target.dtype, target.name), target.shape, false);
  };
  for (Parameter* p : module.parameters())
    if (const Tensor values = take({p->name(), p->shape(), p->master().dtype()}); values.defined()) p->assign(values);
  for (const NamedBuffer& b : module.buffers())
    if (const Tensor values = take({b.name, b.tensor.shape(), b.tensor.dtype()}); values.defined()) backend(b.tensor.device()).upload(values.raw(), b.tensor);
  module.buffers_changed();
  for (const auto& [name, array] : arrays) report.unexpected.push_back(name);

  DURA_CHECK(!report.loaded.empty(), file, ": none of its ", state.size(), " tensors belongs to this model (", report.text(),
             "). Is it a ResNet of another depth? Names are expected as torchvision writes them.");
  DURA_CHECK(strict == Strict::no || (report.complete() && report.unexpected.empty()), file, " does not fit the model exactly: ", report.text());
  return report;
}

StateDict state_of(Module& module) {
  StateDict state;
  const auto put = [&](const std::string& name, const Tensor& t) {
    const Tensor host = Tensor::empty(t.shape(), t.dtype(), Device::cpu);
    backend(t.device()).download(t, host.raw());
    const Array a = Array::share(permuted(host, t.shape(), true));
    state.add(name, Array(file_dimensions(t.shape()), a.type(), a.bytes(), std::make_shared<Array>(a)));
  };
  for (const Parameter* p : module.parameters()) put(p->name(), p->master());
  for (const NamedBuffer& b : module.buffers()) put(b.name, b.tensor);
  return state;
}

}  // namespace dura
