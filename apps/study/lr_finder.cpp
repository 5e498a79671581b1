#include "apps/study/lr_finder.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/report/html.h"
#include "apps/report/svg.h"
#include "apps/training/progress.h"
#include "data/set/csv.h"
#include "engine/base/file.h"
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

namespace {

using Json = nlohmann::ordered_json;

std::string plot(const LrSweep& sweep) {
  LineSeries loss{.name = "loss of the step", .dashed = true}, smoothed{.name = "smoothed"};
  double top = 0;
  for (size_t i = 0; i < sweep.rates.size(); ++i) {
    for (LineSeries* s : {&loss, &smoothed}) s->x.push_back(std::log10(sweep.rates[i]));
    loss.y.push_back(sweep.losses[i]);
    smoothed.y.push_back(sweep.smoothed[i]);
    if (std::isfinite(sweep.smoothed[i])) top = std::max(top, sweep.smoothed[i]);
  }
  LinePlot plot{.title = "Loss while the learning rate grows",
                .x_label = "learning rate, as a power of ten",
                .y_label = "loss that is minimised",
                .series = {loss, smoothed},
                .y_min = 0.0,
                .width = 760};
  // Single steps behind the point where it breaks would flatten all that comes before.
  if (top > 0) plot.y_max = 1.1 * top;
  for (double& y : plot.series[0].y)
    if (top > 0 && y > 1.1 * top) y = NAN;
  if (std::isfinite(sweep.suggestion())) plot.marks.push_back({.x = std::log10(sweep.suggestion()), .text = "suggestion"});
  return svg_line_plot(plot);
}

}  // namespace

std::string lr_finder_text(const LrSweep& sweep) {
  const std::string end = sweep.diverged ? concat("The loss broke at ", sweep.rates.back(), ".")
                                         : concat("The loss did not break up to ", sweep.rates.empty() ? 0 : sweep.rates.back(), ".");
  if (!std::isfinite(sweep.suggestion())) return "No suggestion: the loss never fell by 2 %. " + end;
  return concat("Suggested learning rate: ", sweep.suggestion(), ", a tenth of the one with the lowest smoothed loss. ", end);
}

void write_lr_finder(const std::filesystem::path& folder, const std::string& phase, const LrSweep& sweep) {
  std::string csv = "step,learning_rate,loss,smoothed_loss\n";
  for (size_t i = 0; i < sweep.rates.size(); ++i)
    csv += format_csv_row({std::to_string(i), concat(sweep.rates[i]), concat(sweep.losses[i]), concat(sweep.smoothed[i])});
  write_file_atomically(folder / "lr_finder.csv", csv);

  const int64_t lowest = sweep.lowest();
  const Json json = {{"format", "dura learning rates 1"},
                     {"phase", phase},
                     {"steps", sweep.rates.size()},
                     {"diverged", sweep.diverged},
                     {"lowest_loss_rate", lowest < 0 ? Json(nullptr) : Json(sweep.rates[static_cast<size_t>(lowest)])},
                     {"suggestion", sweep.suggestion()}};
  write_file_atomically(folder / "lr_finder.json", json.dump(1) + "\n");

  HtmlPage page("Learning rates of " + phase);
  page.paragraph(
      "Every step of this sweep had a larger learning rate than the one before; the model was given back as it was. To the left the steps "
      "are too small to learn anything, to the right so large that the loss breaks. A good rate lies where the loss falls, well before it "
      "turns up. Where the dashed line breaks off, the loss of single steps was higher than the plot; lr_finder.csv has them all.");
  page.svg(plot(sweep));
  page.paragraph(lr_finder_text(sweep));
  page.write(folder / "lr_finder.html");
}

}  // namespace dura
