#include "apps/training/training_state.h"

#include "engine/base/text.h"
#include "engine/core/tensor.h"
#include "weights/load.h"
#include "weights/safetensors.h"

namespace dura {
namespace {

void from_array(const StateDict& arrays, const std::string& name, const Tensor& t, const std::string& file) {
  const Array* a = arrays.find(name);
  DURA_CHECK(a, file, ": the array ", quote(name), " is missing. The checkpoint is of another model; begin a new run.");
  DURA_CHECK(a->type() == element_type(t.dtype()) && a->dimensions() == dimensions_of(t.shape()), file, ": the array ", quote(name), " is ",
             element_name(a->type()), " ", describe(a->dimensions()), ", expected ", dtype_name(t.dtype()), " ", t.shape(),
             ". The checkpoint is of another model; begin a new run.");
  backend(t.device()).upload(a->bytes().data(), t);
}

// Each parameter's piece of the flat moments, under its name.
template <class F>
void for_each_moment(const Adam& adam, F&& f) {
  for (const auto& g : adam.arena().groups())
    for (size_t i = 0; i < g.parameters.size(); ++i) {
      const Parameter& p = *g.parameters[i];
      f("adam.m/" + p.name(), g.m.slice(g.offsets[i], p.shape()));
      f("adam.v/" + p.name(), g.v.slice(g.offsets[i], p.shape()));
    }
}

constexpr const char* format = "dura training state 1";

std::string required(const StateDict& s, const std::string& key, const std::string& file) {
  const auto found = s.metadata().find(key);
  DURA_CHECK(found != s.metadata().end(), file, ": the entry '", key, "' is missing. This is not a checkpoint of dura-train.");
  return found->second;
}

int64_t required_count(const StateDict& s, const std::string& key, const std::string& file) {
  const std::string text = required(s, key, file);
  const int64_t value = parse_number<int64_t>(text).value_or(-1);
  DURA_CHECK(value >= 0, file, ": the entry '", key, "' is ", quote(text),
             ", expected a whole number. The checkpoint is damaged; begin a new run.");
  return value;
}

}  // namespace

void write_training_state(const std::filesystem::path& file, Classifier& model, const Adam& adam, const TrainingState& state) {
  StateDict s;
  const StateDict weights = state_of(model);
  for (const StateDict::Entry& e : weights.entries()) s.add("model." + e.name, e.array);
  for_each_moment(adam, [&](const std::string& name, const Tensor& t) { s.add(name, Array::share(host_copy(t))); });
  s.add("step_state", Array::share(host_copy(adam.state())));
  s.metadata() = {{"format", format},
                  {"phase", state.phase},
                  {"epoch", std::to_string(state.epoch)},
                  {"history_rows", std::to_string(state.history_rows)}};
  state.average.save(s);
  for (const auto& [key, value] : state.early_stopping) s.metadata()["early_stopping." + key] = value;
  for (const auto& [key, value] : state.schedule) s.metadata()["schedule." + key] = value;
  write_safetensors(file, s);
}

TrainingState training_state_of(StateDict arrays, const std::string& file) {
  TrainingState state;
  state.arrays = std::move(arrays);
  DURA_CHECK(required(state.arrays, "format", file) == format, file, ": the checkpoint's format is not '", format,
             "'. Resume with the version that wrote it.");
  state.phase = required(state.arrays, "phase", file);
  state.epoch = required_count(state.arrays, "epoch", file);
  state.history_rows = required_count(state.arrays, "history_rows", file);
  state.average.restore(state.arrays, file);
  for (const auto& [key, value] : state.arrays.metadata())
    if (key.starts_with("early_stopping."))
      state.early_stopping[key.substr(15)] = value;
    else if (key.starts_with("schedule."))
      state.schedule[key.substr(9)] = value;
  return state;
}

TrainingState read_training_state(const std::filesystem::path& file) { return training_state_of(read_safetensors(file), file.string()); }

void restore_model(Classifier& model, const TrainingState& state, const std::string& file) {
  StateDict part;
  for (const StateDict::Entry& e : state.arrays.entries())
    if (e.name.starts_with("model.")) part.add(e.name, e.array);
  load_state(model, part, Strict::yes, file);
}

void restore_optimizer(Adam& adam, const TrainingState& state, const std::string& file) {
  for_each_moment(adam, [&](const std::string& name, const Tensor& t) { from_array(state.arrays, name, t, file); });
  from_array(state.arrays, "step_state", adam.state(), file);
}

}  // namespace dura
