#include "apps/report/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "apps/program/text_table.h"
#include "engine/base/check.h"

namespace dura {

namespace {

// Okabe and Ito's palette (2008), distinguishable with every common form of colour blindness; yellow is left out, it is too light on white.
constexpr std::array<const char*, 7> palette = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"};
constexpr double letter = 6.6;  // mean width of a letter at the font size used, pixels
constexpr double line_height = 18;
constexpr const char* dashes = " stroke-dasharray=\"5 3\"";

const char* color_of(size_t series) { return palette[series % palette.size()]; }

std::string pixels(double v) { return printed("%.2f", v); }

// A text whose anchor is "start", "middle" or "end"; `more` holds further attributes.
std::string text_at(double x, double y, const std::string& anchor, const std::string& text, const std::string& more = "") {
  return concat("<text x=\"", pixels(x), "\" y=\"", pixels(y), "\" text-anchor=\"", anchor, "\"", more, ">", escape_markup(text),
                "</text>\n");
}

std::string line_between(double x1, double y1, double x2, double y2, const std::string& style) {
  return printed("<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\" %s/>\n", x1, y1, x2, y2, style.c_str());
}

// The drawing area and the way from values to pixels.
struct Frame {
  double left = 0, right = 0, top = 0, bottom = 0;  // pixels
  double x_low = 0, x_high = 1, y_low = 0, y_high = 1;
  double x(double v) const { return left + (v - x_low) / (x_high - x_low) * (right - left); }
  double y(double v) const { return bottom - (v - y_low) / (y_high - y_low) * (bottom - top); }
};

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void add(double v) {
    if (!std::isfinite(v)) return;
    low = std::min(low, v);
    high = std::max(high, v);
  }
  bool empty() const { return low > high; }
  // Widened where all values are equal, so that they have a place on an axis.
  void widen() {
    if (high > low) return;
    const double by = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= by;
    high += by;
  }
};

double step_of(const std::vector<double>& ticks) { return ticks.size() > 1 ? ticks[1] - ticks[0] : 0; }

// Out to a tick, where the step between ticks is known.
double up_to_tick(double v, double step) { return step == 0 ? v : std::ceil(v / step - 1e-9) * step; }

// What stands around the values of every plot: title, names with their colours, the y axis.
template <class Plot>
std::string draw_around(const Plot& plot, Frame& f, const std::vector<bool>& dashed, int above, int below) {
  const int width = plot.width, height = plot.height;
  DURA_CHECK(width >= 240 && height >= 180, "a plot of ", width, "x", height, " pixels is too small to read; at least 240x180");
  std::string out =
      concat("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", width, " ", height, "\" width=\"", width, "\" height=\"", height,
             "\" role=\"img\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\" fill=\"#222\">", "\n<title>",
             escape_markup(plot.title), "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
             text_at(width / 2.0, 20, "middle", plot.title, " font-size=\"14\" font-weight=\"bold\""));
  // Names, as many on a line as fit, below the title.
  double x = 56, y = plot.series.size() < 2 ? 22 : 40;
  for (size_t i = 0; i < plot.series.size() && plot.series.size() >= 2; ++i) {
    const std::string& name = plot.series[i].name;
    const double entry = 34 + letter * static_cast<double>(name.size());
    if (x > 56 && x + entry > width - 8) x = 56, y += line_height;
    out += line_between(x, y - 4, x + 20, y - 4, concat("stroke=\"", color_of(i), "\" stroke-width=\"3\"", dashed[i] ? dashes : ""));
    out += text_at(x + 25, y, "start", name);
    x += entry;
  }
  // To the left there is room for the widest tick and the axis' label.
  const std::vector<double> ticks = nice_ticks(f.y_low, f.y_high, 5);
  size_t widest = 1;
  for (const double t : ticks) widest = std::max(widest, tick_text(t, step_of(ticks)).size());
  f.left = 34 + letter * static_cast<double>(widest), f.right = width - 20;
  f.top = y + 12 + above, f.bottom = height - below;
  for (const double t : ticks) {
    out += line_between(f.left, f.y(t), f.right, f.y(t), "stroke=\"#ddd\"");
    out += text_at(f.left - 6, f.y(t) + 4, "end", tick_text(t, step_of(ticks)));
  }
  const double middle = (f.top + f.bottom) / 2;
  out += text_at(14, middle, "middle", plot.y_label, " transform=\"rotate(-90 14 " + pixels(middle) + ")\"");
  out += line_between(f.left, f.top, f.left, f.bottom, "stroke=\"#444\"");
  return out + line_between(f.left, f.bottom, f.right, f.bottom, "stroke=\"#444\"");
}

void draw_no_data(std::string& out, const Frame& f) { out += text_at((f.left + f.right) / 2, (f.top + f.bottom) / 2, "middle", "no data"); }

void draw_series(std::string& out, const Frame& f, const LineSeries& s, const char* color) {
  DURA_CHECK(s.x.size() == s.y.size(), "plot: series `", s.name, "` has ", s.x.size(), " x and ", s.y.size(), " y values");
  const std::string style = concat(" stroke=\"", color, "\" stroke-width=\"1.8\" fill=\"none\"", s.dashed ? dashes : "");
  std::string points;
  const auto end_piece = [&] {
    if (!points.empty()) out += concat("<polyline points=\"", points, "\"", style, "/>\n");
    points.clear();
  };
  // Few points are measurements to be seen one by one; many are a curve.
  const bool dots = s.x.size() <= 40;
  for (size_t i = 0; i < s.x.size(); ++i) {
    if (!std::isfinite(s.x[i]) || !std::isfinite(s.y[i])) {
      end_piece();
      continue;
    }
    // What lies outside of a fixed axis is drawn at its edge.
    const double x = f.x(s.x[i]), y = std::clamp(f.y(s.y[i]), f.top, f.bottom);
    if (!points.empty()) points += ' ';
    points += pixels(x) + "," + pixels(y);
    if (dots) out += printed("<circle cx=\"%.2f\" cy=\"%.2f\" r=\"2.6\" fill=\"%s\"/>\n", x, y, color);
  }
  end_piece();
}

}  // namespace

std::string escape_markup(std::string_view text) {
  constexpr std::pair<char, const char*> entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
  std::string out;
  for (const char c : text) {
    const auto* entity = std::find_if(std::begin(entities), std::end(entities), [c](const auto& e) { return e.first == c; });
    if (entity != std::end(entities))
      out += entity->second;
    else
      out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
  }
  return out;
}

std::vector<double> nice_ticks(double low, double high, int count, double least_step) {
  DURA_CHECK(std::isfinite(low) && std::isfinite(high) && high > low && count > 0, "no ticks between ", low, " and ", high);
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double m : {1.0, 2.0, 5.0})
    if (m * power >= rough * (1 - 1e-9)) {
      step = m * power;
      break;
    }
  step = std::max(step, least_step);
  std::vector<double> ticks;
  // By whole multiples of the step, so that no error gathers; a hair of slack keeps an end that is a multiple itself.
  for (double k = std::ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; ++k) ticks.push_back(k == 0 ? 0.0 : k * step);
  return ticks;
}

std::string tick_text(double value, double step) {
  if (value == 0) return "0";
  const double size = std::max(std::abs(value), std::abs(step));
  if (size >= 1e6 || size < 1e-3) return printed("%.3g", value);
  return printed("%.*f", step > 0 ? std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 6) : 3, value);
}

std::string svg_line_plot(const LinePlot& plot) {
  Range xs, ys;
  for (const LineSeries& s : plot.series) {
    for (size_t i = 0; i < s.x.size() && i < s.y.size(); ++i) {
      if (!std::isfinite(s.y[i])) continue;
      xs.add(s.x[i]);
      ys.add(s.y[i]);
    }
  }
  const bool empty = xs.empty() || ys.empty();
  if (empty) xs = ys = Range{0, 1};
  if (plot.y_min) ys.low = *plot.y_min;
  if (plot.y_max) ys.high = *plot.y_max;
  xs.widen();
  ys.widen();
  // Free ends of the y axis go out to a tick.
  const double y_step = step_of(nice_ticks(ys.low, ys.high, 5));
  Frame f{.x_low = xs.low, .x_high = xs.high};
  f.y_low = plot.y_min ? ys.low : -up_to_tick(-ys.low, y_step);
  f.y_high = plot.y_max ? ys.high : up_to_tick(ys.high, y_step);
  std::vector<bool> dashed;
  for (const LineSeries& s : plot.series) dashed.push_back(s.dashed);
  std::string out = draw_around(plot, f, dashed, plot.marks.empty() ? 0 : 14, 44);
  const std::vector<double> x_ticks = nice_ticks(f.x_low, f.x_high, std::max(3, plot.width / 80), plot.whole_x ? 1 : 0);
  for (const double t : x_ticks) {
    out += line_between(f.x(t), f.bottom, f.x(t), f.bottom + 4, "stroke=\"#444\"");
    out += text_at(f.x(t), f.bottom + 18, "middle", tick_text(t, step_of(x_ticks)));
  }
  out += text_at((f.left + f.right) / 2, plot.height - 8, "middle", plot.x_label);
  for (const PlotMark& mark : plot.marks) {
    if (!(mark.x >= f.x_low && mark.x <= f.x_high)) continue;
    out += line_between(f.x(mark.x), f.top, f.x(mark.x), f.bottom, "stroke=\"#888\" stroke-dasharray=\"2 3\"");
    // Beside its line and inside the plot: centred on the left edge it would touch the axis' topmost number.
    const bool room = f.x(mark.x) < 0.8 * f.right;
    out += text_at(f.x(mark.x) + (room ? 3 : -3), f.top - 4, room ? "start" : "end", mark.text, " fill=\"#666\"");
  }
  for (size_t i = 0; i < plot.series.size(); ++i) draw_series(out, f, plot.series[i], color_of(i));
  if (empty) draw_no_data(out, f);
  return out + "</svg>\n";
}

std::string svg_bar_plot(const BarPlot& plot) {
  Range ys{0, 0};
  bool empty = true;
  for (const BarSeries& s : plot.series) {
    DURA_CHECK(s.values.size() == plot.groups.size(), "plot: `", s.name, "` has ", s.values.size(), " bars for ", plot.groups.size(),
               " groups");
    DURA_CHECK(s.low.size() == s.high.size() && (s.low.empty() || s.low.size() == s.values.size()), "plot: `", s.name,
               "` has intervals for some of its bars only");
    for (const double v : s.values) {
      DURA_CHECK(!(v < 0), "plot: `", s.name, "` has a bar of ", v, "; bars begin at 0");
      empty = empty && !std::isfinite(v);
      ys.add(v);
    }
    for (const double v : s.high) ys.add(v);
  }
  if (ys.high == 0) ys.high = 1;
  if (plot.y_max) ys.high = *plot.y_max;
  Frame f{.y_high = plot.y_max ? ys.high : up_to_tick(ys.high, step_of(nice_ticks(0, ys.high, 5)))};
  std::string out = draw_around(plot, f, std::vector<bool>(plot.series.size()), 0, 36);
  if (empty) {
    draw_no_data(out, f);
    return out + "</svg>\n";
  }

  const double group_width = (f.right - f.left) / static_cast<double>(plot.groups.size());
  const double bar = std::min(64.0, 0.8 * group_width / static_cast<double>(plot.series.size()));
  for (size_t g = 0; g < plot.groups.size(); ++g) {
    const double middle = f.left + (static_cast<double>(g) + 0.5) * group_width;
    out += text_at(middle, f.bottom + 18, "middle", plot.groups[g]);
    for (size_t i = 0; i < plot.series.size(); ++i) {
      const BarSeries& s = plot.series[i];
      if (!std::isfinite(s.values[g])) continue;
      const double x = middle + (static_cast<double>(i) - static_cast<double>(plot.series.size()) / 2) * bar;
      const double y = std::max(f.y(s.values[g]), f.top);
      out += printed("<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"/>\n", x + 1, y, bar - 2, f.bottom - y,
                     color_of(i));
      double above = y;
      if (!s.low.empty() && std::isfinite(s.low[g]) && std::isfinite(s.high[g])) {
        const double center = x + bar / 2, low = std::max(f.y(s.low[g]), f.top), high = std::max(f.y(s.high[g]), f.top);
        for (const auto& [x1, y1, x2, y2] : {std::array{center, low, center, high}, std::array{center - 4, low, center + 4, low},
                                             std::array{center - 4, high, center + 4, high}})
          out += line_between(x1, y1, x2, y2, "stroke=\"#222\" stroke-width=\"1.4\"");
        above = std::min(above, high);
      }
      // The value itself, where bars are wide enough for the number not to run into its neighbour's.
      const std::string number = tick_text(s.values[g], s.values[g] == std::floor(s.values[g]) ? 1 : 0.01);
      if (letter * static_cast<double>(number.size()) <= bar + 4)
        out += text_at(x + bar / 2, above - 4, "middle", number, " font-size=\"11\"");
    }
  }
  return out + "</svg>\n";
}

}  // namespace dura
