#include "apps/study/lr_finder_report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/report/html.h"
#include "apps/report/svg.h"
#include "data/set/csv.h"
#include "engine/base/file.h"

namespace dura {
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
