// A part of a network: a name, parameters, buffers and sub-modules. Names are torchvision's ("layer1.0.conv1.weight"), so weight files need
// no renaming. Modules are members of their parents and register themselves in the order of construction; they are neither copied nor
// moved.
#pragma once
#include <string>
#include <vector>

#include "engine/core/tape.h"
#include "engine/optim/parameter.h"

namespace dura {

// What a network is made of: the dtype it computes in and where it lives.
struct TensorOptions {
  DType compute = DType::f32;
  Device device = Device::cpu;
};

// State that is not trained: BatchNorm's running statistics.
struct NamedBuffer {
  std::string name;
  Tensor tensor;  // [stat]
};

class Module {
 public:
  explicit Module(std::string name) : name_(std::move(name)) {}
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  const std::string& name() const { return name_; }
  // Of this module and everything below, in order of construction.
  std::vector<Parameter*> parameters();
  std::vector<NamedBuffer> buffers();
  // Training: dropout drops and BatchNorm may use batch statistics.
  void set_training(bool on);
  bool training() const { return training_; }
  // Whoever writes a buffer through its tensor says so here.
  void buffers_changed();

 protected:
  std::string join(const std::string& child) const { return name_.empty() ? child : name_ + "." + child; }
  void add(Module& child) { children_.push_back(&child); }
  void add(Parameter& parameter) { own_parameters_.push_back(&parameter); }
  void add(NamedBuffer buffer) { own_buffers_.push_back(std::move(buffer)); }
  virtual void on_buffers_changed() {}

 private:
  std::string name_;
  std::vector<Module*> children_;
  std::vector<Parameter*> own_parameters_;
  std::vector<NamedBuffer> own_buffers_;
  bool training_ = false;
};

// No-grad scope: while it lives, ops of this thread record nothing, and `module` is in inference form (no dropout, stored statistics).
// With `training` the module is in training mode instead: its BatchNorms gather statistics, and still nothing is recorded. Afterwards the
// module's mode is as before.
class NoGradScope {
 public:
  explicit NoGradScope(Module& module, bool training = false) : module_(module), was_training_(module.training()) {
    module.set_training(training);
  }
  ~NoGradScope() { module_.set_training(was_training_); }
  NoGradScope(const NoGradScope&) = delete;
  NoGradScope& operator=(const NoGradScope&) = delete;

 private:
  const Tape nothing_{Tape::Wants::leaves};  // parameters count as constants, and there are no leaves
  Module& module_;
  bool was_training_;
};

}  // namespace dura
