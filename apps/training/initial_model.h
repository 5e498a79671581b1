// The network that training begins with.
#pragma once
#include <memory>

#include "apps/training/train_options.h"

namespace dura {

struct InitialModel {
  std::unique_ptr<Classifier> model;
  std::vector<std::string> fresh;  // names of the convolutions that the weight file lacks; all of them without a file
};

// The backbone with the weights of the options' file, used as the file wants it; what it lacks is initialised.
InitialModel initial_model(const TrainOptions& options, const std::vector<std::string>& classes, Device device);

}  // namespace dura
