// Everything a run needs to go on: model, moments, step state, counters, early stopping. Bit-equal: what is read back is what was written.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "apps/training/weight_average.h"
#include "engine/optim/adam.h"
#include "models/network/classifier.h"
#include "weights/state.h"

namespace dura {

struct TrainingState {
  std::string phase;
  int64_t epoch = 0;         // the last one that is complete
  int64_t history_rows = 0;  // of history.csv that belong to it
  std::map<std::string, std::string> early_stopping, schedule = {};
  WeightAverage average = {};  // of the phase
  StateDict arrays;            // as read; unused when writing
};

void write_training_state(const std::filesystem::path& file, Classifier& model, const Adam& adam, const TrainingState& state);
TrainingState read_training_state(const std::filesystem::path& file);
// Of a file that was read; `file` is its name, for messages.
TrainingState training_state_of(StateDict arrays, const std::string& file);
// `file` names the source in errors: an array that is missing, has another shape, or a parameter that was not trained then.
void restore_model(Classifier& model, const TrainingState& state, const std::string& file);
void restore_optimizer(Adam& adam, const TrainingState& state, const std::string& file);

}  // namespace dura
