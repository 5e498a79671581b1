// A parameter owns its master values (f32 or f64), the copy that is computed with (the same bytes unless computing in f16/bf16), and what a
// device keeps of it. While it is trainable its master, gradient and moments lie in the flat arenas of a ParameterArena; the gradient's
// address is fixed there.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/core/tape.h"

namespace dura {

class Parameter {
 public:
  // `compute` is the dtype ops see: f32, f64, f16 or bf16. The master is f64 for f64 and f32 otherwise. Values begin as zeros.
  Parameter(std::string name, const Shape& shape, DType compute, Device device);
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  const std::string& name() const { return name_; }
  const Shape& shape() const { return master_.shape(); }
  Device device() const { return master_.device(); }
  bool trainable() const { return trainable_; }
  void set_trainable(bool on) { trainable_ = on; }

  const Tensor& master() const { return master_; }
  const Tensor& compute() const { return compute_; }
  const std::shared_ptr<Gradient>& gradient() const { return gradient_; }
  const Revision& revision() const { return prepared_.revision; }

  // What ops take: a constant while frozen, and on a tape that wants the gradients of leaves alone.
  Var var();

  // Overwrites the master (f32 or f64 host tensor of this shape), refreshes the compute copy; the values have changed.
  void assign(const Tensor& cpu_values);
  // Whoever writes the master through its tensor says so here.
  void values_changed() { prepared_.revision.values_changed(); }

  // Moves the values into slices of an arena and binds the gradient. Undefined slots: back to memory of its own.
  void move_to(const Tensor& master_slot, const Tensor& compute_slot, const Tensor& gradient_slot);

 private:
  std::string name_;
  Tensor master_, compute_;
  std::shared_ptr<Gradient> gradient_;
  PreparedWeight prepared_;
  bool trainable_ = true;
};

// The flat arrays of everything that is trainable now, one set for each compute dtype and for what weight decay is for and what not:
// filters and dense weights decay; biases and the scale and shift of BatchNorm, vectors all, do not. Built for one phase of training:
// changing what is trainable means building another (fresh moments, step count 0), and every captured step with it.
class ParameterArena {
 public:
  explicit ParameterArena(const std::vector<Parameter*>& parameters);  // takes the trainable ones
  ~ParameterArena();                                                   // gives them memory of their own again
  ParameterArena(const ParameterArena&) = delete;
  ParameterArena& operator=(const ParameterArena&) = delete;

  struct Group {
    Tensor master, compute, gradient, m, v;  // flat; compute is undefined where it is the master
    std::vector<Parameter*> parameters;
    std::vector<int64_t> offsets;  // of each parameter, in elements
    bool decays = false;
  };
  const std::vector<Group>& groups() const { return groups_; }
  int64_t numel() const;  // of the parameters, padding left out
  // Before each backward: gradients are written the first time and added to after.
  void begin_step();
  // A trainable parameter that backward did not reach has no gradient: says which, so that a wrong freeze is noticed.
  void check_written() const;

 private:
  std::vector<Group> groups_;
};

}  // namespace dura
