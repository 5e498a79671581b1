#include "engine/core/tape.h"

#include <unordered_map>

#include "engine/core/trace.h"

namespace dura {
namespace {
thread_local Tape* innermost = nullptr;
}

// ---- Gradient ----

GradTarget Gradient::target() {
  if (!written_) {
    if (!bound_) tensor_ = Tensor::empty(shape_, dtype_, device_, "gradient");
    written_ = true;
    return {tensor_, false};
  }
  if (!bound_ && !tensor_.sole_owner()) {  // somebody else sees these bytes: the sum goes elsewhere
    const Tensor own = Tensor::empty(shape_, dtype_, device_, "gradient");
    backend(device_).copy(tensor_, own);
    tensor_ = own;
  }
  return {tensor_, true};
}

void Gradient::add(const Tensor& g) {
  DURA_CHECK(g.shape() == shape_ && g.dtype() == dtype_, "a gradient of ", describe(g), " reached a value of ", dtype_name(dtype_), " ",
             shape_);
  if (!written_ && !bound_) {
    tensor_ = g;
    written_ = true;
    return;
  }
  if (written_ && !bound_ && !tensor_.sole_owner()) {
    const Tensor sum = Tensor::empty(shape_, dtype_, device_, "gradient");
    backend(device_).add(tensor_, g, sum);
    tensor_ = sum;
    return;
  }
  const GradTarget t = target();
  if (t.accumulate)
    backend(device_).add(t.tensor, g, t.tensor);
  else
    backend(device_).copy(g, t.tensor);
}

Tensor Gradient::take() {
  if (!written_) return {};
  if (bound_) return tensor_;
  written_ = false;
  return std::move(tensor_);
}

void Gradient::bind(const Tensor& slot) {
  DURA_CHECK(slot.shape() == shape_, "bind: a slot of shape ", slot.shape(), " for a gradient of shape ", shape_);
  tensor_ = slot;
  dtype_ = slot.dtype();
  bound_ = true;
  written_ = false;
}

void Gradient::reset() {
  written_ = false;
  if (!bound_) tensor_ = {};
}

// ---- Var ----

Var Var::leaf(Tensor value) {
  auto gradient = std::make_shared<Gradient>(value.shape(), value.dtype(), value.device());
  return Var(std::move(value), std::move(gradient));
}

const Tensor& Var::grad() const {
  DURA_CHECK(gradient_, "the gradient of a constant of shape ", shape(),
             " was asked for. Make it with Var::leaf, or make its parameter trainable.");
  return gradient_->value();
}

// ---- Tape ----

Tape::Tape(Wants wants) : wants_(wants), outer_(innermost) { innermost = this; }
Tape::~Tape() { innermost = outer_; }
Tape* Tape::current() { return innermost; }

bool recording(std::initializer_list<const Var*> inputs) {
  if (!innermost) return false;
  for (const Var* v : inputs)
    if (v->needs_grad()) return true;
  return false;
}

Var record(const char* op, Tensor value, std::initializer_list<const Var*> inputs,
           const std::function<std::function<void(const Tensor& dy)>()>& make_rule) {
  if (!recording(inputs)) return Var(std::move(value));
  Var result = Var::leaf(std::move(value));
  std::vector<std::shared_ptr<Gradient>> gradients;
  for (const Var* v : inputs)
    if (v->needs_grad()) gradients.push_back(v->gradient());
  innermost->nodes_.push_back({op, Label::current(), result.gradient(), std::move(gradients), make_rule()});
  return result;
}

Var record(OpTrace& trace, Tensor value, std::initializer_list<const Var*> inputs,
           const std::function<std::function<void(const Tensor& dy)>()>& make_rule) {
  trace.done(value);
  return record(trace.op(), std::move(value), inputs, make_rule);
}

void Tape::backward(const Var& from, const Tensor& gradient, const std::function<void(const Gradient&)>& finished) {
  DURA_CHECK(from.needs_grad(), "backward from a value that depends on nothing whose gradient is wanted");
  if (gradient.defined()) {
    from.gradient()->add(gradient);
  } else {
    DURA_CHECK(from.value().numel() == 1, "backward without a gradient needs a single value, got shape ", from.shape());
    const GradTarget one = from.gradient()->target();
    backend(one.tensor.device()).fill(one.tensor, 1.0);
  }
  std::unordered_map<const Gradient*, size_t> last_turn;  // that adds to it: of the first op that took the value
  if (finished)
    for (size_t i = nodes_.size(); i-- > 0;)
      for (const auto& input : nodes_[i].inputs) last_turn[input.get()] = i;
  while (!nodes_.empty()) {
    Node node = std::move(nodes_.back());
    nodes_.pop_back();  // what the rule saved is released at the end of this turn
    const Tensor dy = node.output->take();
    if (dy.defined()) {  // else there is no path from here to the loss
      const Label label(node.label);
      OpTrace trace("backward", node.op);
      node.rule(dy);
      for (const auto& input : node.inputs) trace.done(input->value());
    }
    if (!finished) continue;
    for (const auto& input : node.inputs)
      if (const auto turn = last_turn.find(input.get()); turn != last_turn.end() && turn->second == nodes_.size()) {
        last_turn.erase(turn);
        finished(*input);
      }
  }
}

}  // namespace dura
