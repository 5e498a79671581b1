// All of reverse mode. A Var is a value whose gradient may be wanted; ops on Vars record how to go back; Tape::backward walks the
// record in reverse. No graph is sorted: the order of execution is a valid order, so its reverse is one too.
//
// Invariants: what a backward rule captures is exactly what stays alive (rules capture Gradients and Saved values, never Vars);
// backward() releases each rule as it passes; gradients are added in place only into memory that nobody else sees.
#pragma once
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/backend.h"
#include "engine/core/tensor.h"
#include "engine/core/trace.h"

namespace dura {

// Where the gradient of one value gathers while backward runs.
class Gradient {
 public:
  Gradient(Shape shape, DType dtype, Device device) : shape_(shape), dtype_(dtype), device_(device) {}

  // For rules that compute: the memory to write to, and whether to add to what is there.
  GradTarget target();
  // For rules that pass a gradient on unchanged: takes `g` over, or adds it to what is there.
  void add(const Tensor& g);
  // The finished gradient; undefined when nothing reached this value. A rule takes it out, so that its memory is free afterwards.
  Tensor take();
  const Tensor& value() const { return tensor_; }
  bool written() const { return written_; }

  // For parameters: a fixed address in a flat arena, written the first time and added to after; never taken over.
  void bind(const Tensor& slot);
  // Forgets what was gathered; the address of a bound gradient stays.
  void reset();

 private:
  Shape shape_;
  DType dtype_;
  Device device_;
  Tensor tensor_;
  bool bound_ = false, written_ = false;
};

// A value that backward will need: the tensor itself, or a recipe to make it again. The rule that reads it cannot tell which.
class Saved {
 public:
  Saved() = default;
  Saved(Tensor tensor) : tensor_(std::move(tensor)) {}
  Saved(std::shared_ptr<const std::function<Tensor()>> recipe) : recipe_(std::move(recipe)) {}
  Tensor get() const { return recipe_ ? (*recipe_)() : tensor_; }

 private:
  Tensor tensor_;
  std::shared_ptr<const std::function<Tensor()>> recipe_;
};

class Var {
 public:
  Var() = default;
  // A constant.
  Var(Tensor value) : value_(std::move(value)) {}
  // A value whose gradient gathers in `gradient` (null: a constant).
  Var(Tensor value, std::shared_ptr<Gradient> gradient) : value_(std::move(value)), gradient_(std::move(gradient)) {}
  // A leaf whose gradient is wanted.
  static Var leaf(Tensor value);

  bool defined() const { return value_.defined(); }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  bool needs_grad() const { return gradient_ != nullptr; }
  const std::shared_ptr<Gradient>& gradient() const { return gradient_; }
  const Tensor& grad() const;  // what backward left here; an error where no gradient was wanted

  // Only for filters: where a device keeps what it makes of them.
  PreparedWeight* prepared = nullptr;

  // How a later op should keep this value for backward: as the tensor, or by the recipe its producer offers.
  Saved save() const { return recipe_ ? Saved(recipe_) : Saved(value_); }
  void offer_recipe(std::function<Tensor()> recipe) { recipe_ = std::make_shared<const std::function<Tensor()>>(std::move(recipe)); }

 private:
  Tensor value_;
  std::shared_ptr<Gradient> gradient_;
  std::shared_ptr<const std::function<Tensor()>> recipe_;
};

// While it lives, ops of this thread record. Tapes nest; the innermost records.
class Tape {
 public:
  // What gradients are wanted for: trainable parameters and leaves, or leaves alone (explanations: parameters count as constants).
  enum class Wants : uint8_t { parameters, leaves };
  explicit Tape(Wants wants = Wants::parameters);
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  // From one element (a loss) with gradient 1, or from any value with the given gradient (same shape and dtype). `finished` is called once
  // for each gradient of an input, as soon as no rule is left that could add to it.
  void backward(const Var& from, const Tensor& gradient = {}, const std::function<void(const Gradient&)>& finished = {});
  size_t size() const { return nodes_.size(); }

  static Tape* current();  // null: nothing records
  Wants wants() const { return wants_; }

 private:
  friend Var record(const char* op, Tensor value, std::initializer_list<const Var*> inputs,
                    const std::function<std::function<void(const Tensor& dy)>()>& make_rule);
  struct Node {
    const char* op;
    std::string label;
    std::shared_ptr<Gradient> output;
    std::vector<std::shared_ptr<Gradient>> inputs;  // for the trace
    std::function<void(const Tensor& dy)> rule;
  };
  Wants wants_;
  std::vector<Node> nodes_;
  Tape* outer_;
};

// True when an op on these inputs is recorded: a tape is there, and an input's gradient is wanted. (Undefined inputs do not count.)
bool recording(std::initializer_list<const Var*> inputs);

// Ends an op: the value as a Var. Where the op is recorded, make_rule() is called to capture what backward needs, and the rule it returns
// is later called with the gradient of `value`.
Var record(const char* op, Tensor value, std::initializer_list<const Var*> inputs,
           const std::function<std::function<void(const Tensor& dy)>()>& make_rule);
// The same, and ends the op's trace.
Var record(OpTrace& trace, Tensor value, std::initializer_list<const Var*> inputs,
           const std::function<std::function<void(const Tensor& dy)>()>& make_rule);

// The target for an input's gradient: nothing where it is not wanted.
inline GradTarget target_of(const std::shared_ptr<Gradient>& gradient) { return gradient ? gradient->target() : GradTarget{}; }

}  // namespace dura
