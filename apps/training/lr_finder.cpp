#include "apps/training/lr_finder.h"

#include <algorithm>
#include <cmath>

#include "apps/training/progress.h"
#include "weights/load.h"

namespace dura {

int64_t LrSweep::lowest() const {
  int64_t best = -1;
  for (size_t i = 0; i < smoothed.size(); ++i)
    if (std::isfinite(smoothed[i]) && (best < 0 || smoothed[i] < smoothed[static_cast<size_t>(best)])) best = static_cast<int64_t>(i);
  return best;
}

double LrSweep::suggestion() const {
  const int64_t best = lowest();
  // What the loss was before anything was learnt: the mean over the first tenth of the sweep, where rates are next to nothing.
  const size_t quiet = std::max<size_t>(1, rates.size() / 10);
  double before = 0;
  for (size_t i = 0; i < std::min(quiet, losses.size()); ++i) before += losses[i] / static_cast<double>(quiet);
  if (best < 0 || !(smoothed[static_cast<size_t>(best)] < 0.98 * before)) return NAN;
  return rates[static_cast<size_t>(best)] / 10;
}

LrSweep sweep_learning_rates(Classifier& model, const PhasePlan& plan, const std::vector<std::string>& fresh, const Dataset& train,
                             const FitOptions& fit_options, const LrSweepOptions& options, const StopRequest& stop) {
  const StateDict before = state_of(model);
  set_trainable(model, plan, fresh);
  model.set_training(true);
  LrSweep sweep;
  {
    Adam adam(model.parameters(), fit_options.adam, fit_options.scaler);
    const LossOptions minimised = fit_options.loss_on(model, plan, train);
    TrainStep step(model, adam, minimised, {fit_options.rows_at_once(), train.height(), train.width(), 3}, fit_options.step);
    Loader loader(train, fit_options.training_loader(minimised.lesions));
    Progress progress("learning rates", options.steps * fit_options.batch);
    int64_t epoch = 0;
    loader.start_epoch(epoch);
    double mean = 0;
    for (int64_t i = 0; i < options.steps && !sweep.diverged; ++i) {
      if ((sweep.interrupted = stop_of_any(stop, *fit_options.step.ranks))) break;
      if (!loader.next()) {
        loader.start_epoch(++epoch);
        loader.next();
      }
      const double share = options.steps > 1 ? static_cast<double>(i) / static_cast<double>(options.steps - 1) : 0;
      const double rate = options.lowest * std::pow(options.highest / options.lowest, share);
      adam.set_learning_rate(rate);
      step.reset_sums();
      step.run(loader.batch());
      const TrainSums sums = step.read_sums_of_all();
      const double loss =
          sums.weighted_loss / static_cast<double>(sums.images) + (sums.guided > 0 ? minimised.guide * sums.guide_loss() : 0);
      mean += (1 - options.smoothing) * (loss - mean);
      sweep.rates.push_back(rate);
      sweep.losses.push_back(loss);
      sweep.smoothed.push_back(mean / (1 - std::pow(options.smoothing, static_cast<double>(i + 1))));
      const double now = sweep.smoothed.back();
      sweep.diverged = !std::isfinite(now) || now > 4 * sweep.smoothed[static_cast<size_t>(sweep.lowest())];
      progress.update((i + 1) * fit_options.batch, [&] { return concat("rate ", rate, "  loss ", now); });
    }
  }
  load_state(model, before, Strict::yes, "the model before the sweep");
  model.set_training(false);
  return sweep;
}

}  // namespace dura
