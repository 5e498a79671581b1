#include "apps/training/initial_model.h"

#include "apps/program/precision.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "weights/conventions.h"
#include "weights/pth.h"

namespace dura {

InitialModel initial_model(const TrainOptions& o, const std::vector<std::string>& classes, Device device) {
  ClassifierOptions c{.backbone = {.depth = static_cast<int>(o.depth), .tensors = tensors_of_precision(o.precision, device)},
                      .classes = classes,
                      .dropout = o.dropout,
                      .seed = static_cast<uint64_t>(o.seed)};
  std::unique_ptr<StateDict> state;
  WeightConventions found;
  if (!o.weights.empty()) {
    state = std::make_unique<StateDict>(read_weights(o.weights));
    require_finite(*state, o.weights);
    found = conventions_of(*state, sha256_file_hex(o.weights), o.weights);
    log_info(o.weights, ": ", found.text());
    if (!found.known && !o.given.all())
      log_warning(o.weights, " does not say how it must be used; state it with --input, --variant and --stem-pool");
  }
  const WeightConventions chosen = o.given.over(found);
  c.input = chosen.input;
  c.backbone.variant = chosen.variant;
  c.backbone.stem_pool = chosen.stem_pool;
  InitialModel made{.model = std::make_unique<Classifier>(c), .fresh = {}};
  std::vector<std::string>& fresh = made.fresh;
  if (state) {
    fresh = load_backbone(*made.model, *state, o.weights);
    if (!fresh.empty()) {
      log_info(o.weights, " lacks ", fresh.size(), " convolutions: they are initialised and trained from the first phase on:");
      for (const std::string& name : fresh) log_info("  ", name);
    }
  } else {
    for (const ConvBn* u : made.model->backbone().units()) fresh.push_back(u->conv.name());
    log_info("no weight file: the whole backbone is initialised and trained from the first phase on");
  }
  return made;
}

}  // namespace dura
