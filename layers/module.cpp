#include "layers/module.h"

namespace dura {

std::vector<Parameter*> Module::parameters() {
  std::vector<Parameter*> all = own_parameters_;
  for (Module* child : children_)
    for (Parameter* p : child->parameters()) all.push_back(p);
  return all;
}

std::vector<NamedBuffer> Module::buffers() {
  std::vector<NamedBuffer> all = own_buffers_;
  for (Module* child : children_)
    for (NamedBuffer& b : child->buffers()) all.push_back(std::move(b));
  return all;
}

void Module::set_training(bool on) {
  if (training_ != on) training_ = on;  // threads that share a model in inference form read this at the same time
  for (Module* child : children_) child->set_training(on);
}

void Module::buffers_changed() {
  on_buffers_changed();
  for (Module* child : children_) child->buffers_changed();
}

}  // namespace dura
