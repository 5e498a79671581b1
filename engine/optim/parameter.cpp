#include "engine/optim/parameter.h"

#include <map>

#include "engine/core/ops.h"

namespace dura {

Parameter::Parameter(std::string name, const Shape& shape, DType compute, Device device) : name_(std::move(name)) {
  const DType master = stat_dtype(compute);
  master_ = Tensor::zeros(shape, master, device, name_);
  compute_ = compute == master ? master_ : Tensor::zeros(shape, compute, device, name_ + " (compute copy)");
  gradient_ = std::make_shared<Gradient>(shape, compute, device);
}

Var Parameter::var() {
  const bool constant = !trainable_ || (Tape::current() && Tape::current()->wants() == Tape::Wants::leaves);
  Var v(compute_, constant ? nullptr : gradient_);
  v.prepared = &prepared_;
  return v;
}

void Parameter::assign(const Tensor& values) {
  DURA_CHECK(values.shape() == shape(), "parameter ", name_, " has shape ", shape(), ", the new values have ", values.shape());
  DURA_CHECK(values.device() == Device::cpu && (values.dtype() == DType::f32 || values.dtype() == DType::f64), "parameter ", name_,
             ": values must be f32 or f64 on the cpu, got ", describe(values));
  Tensor host = values;
  if (values.dtype() != master_.dtype()) {
    host = Tensor::empty(shape(), master_.dtype(), Device::cpu);
    backend(Device::cpu).cast(values, host);
  }
  Backend& b = backend(device());
  b.upload(host.raw(), master_);
  if (!compute_.same_bytes(master_)) b.cast(master_, compute_);
  values_changed();
}

void Parameter::move_to(const Tensor& master_slot, const Tensor& compute_slot, const Tensor& gradient_slot) {
  Backend& b = backend(device());
  const bool shared = compute_.same_bytes(master_);
  const auto moved = [&](const Tensor& from, const Tensor& slot) {
    const Tensor to = slot.defined() ? slot : Tensor::like(from, name_);
    b.copy(from, to);
    return to;
  };
  master_ = moved(master_, master_slot);
  compute_ = shared ? master_ : moved(compute_, compute_slot);
  gradient_ = std::make_shared<Gradient>(shape(), compute_.dtype(), device());
  if (gradient_slot.defined()) gradient_->bind(gradient_slot);
  values_changed();
}

ParameterArena::ParameterArena(const std::vector<Parameter*>& parameters) {
  std::map<std::pair<DType, bool>, std::vector<Parameter*>> by_kind;
  for (Parameter* p : parameters)
    if (p->trainable()) by_kind[{p->compute().dtype(), p->shape().rank() > 1}].push_back(p);
  for (auto& [kind, members] : by_kind) {
    const DType dtype = kind.first;
    Group g;
    g.decays = kind.second;
    g.parameters = members;
    int64_t total = 0;
    for (Parameter* p : members) {
      g.offsets.push_back(total);
      total += round_up(p->shape().numel(), 16);  // each begins at a cache line
    }
    const Device device = members.front()->device();
    const DType master = stat_dtype(dtype);
    // Zeros, because the update runs over the padding too.
    g.master = Tensor::zeros({total}, master, device, "master parameters");
    if (dtype != master) g.compute = Tensor::zeros({total}, dtype, device, "compute parameters");
    g.gradient = Tensor::zeros({total}, dtype, device, "gradients");
    g.m = Tensor::zeros({total}, master, device, "first moments");
    g.v = Tensor::zeros({total}, master, device, "second moments");
    for (size_t i = 0; i < members.size(); ++i) {
      const Shape& s = members[i]->shape();
      const Tensor compute = g.compute.defined() ? g.compute.slice(g.offsets[i], s) : Tensor();
      members[i]->move_to(g.master.slice(g.offsets[i], s), compute, g.gradient.slice(g.offsets[i], s));
    }
    groups_.push_back(std::move(g));
  }
}

ParameterArena::~ParameterArena() {
  for (Group& g : groups_)
    for (Parameter* p : g.parameters) p->move_to({}, {}, {});
}

int64_t ParameterArena::numel() const {
  int64_t n = 0;
  for (const Group& g : groups_)
    for (const Parameter* p : g.parameters) n += p->shape().numel();
  return n;
}

void ParameterArena::begin_step() {
  for (Group& g : groups_)
    for (Parameter* p : g.parameters) p->gradient()->reset();
}

void ParameterArena::check_written() const {
  for (const Group& g : groups_)
    for (const Parameter* p : g.parameters)
      DURA_CHECK(p->gradient()->written(), "parameter ", p->name(),
                 " is trainable, but backward did not reach it. Freeze it, or use it in the loss.");
}

}  // namespace dura
