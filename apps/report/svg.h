// Plots as SVG text, to stand inside a page or alone in a file: no script, no font file, readable in print and on white.
// Invariant: every text that comes from outside (class names, file names) is escaped, and no number that is not finite reaches the markup.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dura {

// For text and attribute values of HTML and SVG: & < > " '. Control characters, which neither allows, become spaces.
std::string escape_markup(std::string_view text);

// Round tick values (1, 2 or 5 times a power of ten apart) that lie in [low, high], about `count` of them. `least_step`: 1 for axes that
// count something.
std::vector<double> nice_ticks(double low, double high, int count, double least_step = 0);
// A tick's text, with the digits that tell it from its neighbours: "0.25", "1500", "2e-05".
std::string tick_text(double value, double step);

struct LineSeries {
  std::string name = {};
  std::vector<double> x = {}, y = {};  // the same length; NaN in y is a gap
  bool dashed = false;
};
// A vertical line with a word at its top, for example where a training phase begins.
struct PlotMark {
  double x = 0;
  std::string text;
};
struct LinePlot {
  std::string title = {}, x_label = {}, y_label = {};
  std::vector<LineSeries> series = {};
  std::vector<PlotMark> marks = {};
  bool whole_x = false;                          // x counts something: ticks at whole numbers
  std::optional<double> y_min = {}, y_max = {};  // else from the values
  int width = 640, height = 360;                 // pixels, at least 240 x 180
};
std::string svg_line_plot(const LinePlot& plot);

struct BarSeries {
  std::string name;
  std::vector<double> values = {};          // one per group, at least 0; NaN: no bar
  std::vector<double> low = {}, high = {};  // ends of an interval drawn over the bar; empty: none
};
struct BarPlot {
  std::string title = {}, y_label = {};
  std::vector<std::string> groups = {};  // names along the x axis
  std::vector<BarSeries> series = {};    // side by side in each group
  std::optional<double> y_max = {};
  int width = 640, height = 360;
};
std::string svg_bar_plot(const BarPlot& plot);

}  // namespace dura
