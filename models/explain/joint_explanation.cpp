#include "models/explain/joint_explanation.h"

#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "engine/base/check.h"

namespace dura {
namespace {

using Rows = std::vector<int64_t>;
using ExplainRows = std::function<std::vector<Explanation>(Classifier& network, const Rows& rows, const ExplainOptions& options)>;

std::vector<Explanation> of_row(const std::vector<std::vector<Explanation>>& each, size_t row) {
  std::vector<Explanation> all;
  for (const std::vector<Explanation>& network : each) all.push_back(network[row]);
  return all;
}

Answer mean_answer_of(const std::vector<Explanation>& each) { return mean_answer(std::vector<Answer>(each.begin(), each.end())); }

// Each network explains its own answer first, and once more the rows in which all together decide for another class.
std::vector<Explanation> explain_jointly(std::span<Classifier* const> networks, size_t count, const ExplainOptions& options,
                                         const ExplainRows& explain_rows) {
  Rows all(count);
  std::iota(all.begin(), all.end(), 0);
  std::vector<std::vector<Explanation>> each;
  for (Classifier* network : networks) each.push_back(explain_rows(*network, all, options));
  DURA_CHECK(!each.empty(), "no networks to explain");
  if (each.size() == 1) return each[0];
  std::vector<std::map<int32_t, Rows>> again(each.size());  // by network and class
  for (size_t row = 0; row < count && options.explained < 0; ++row) {
    const int32_t decided = mean_answer_of(of_row(each, row)).predicted;
    for (size_t n = 0; n < each.size(); ++n)
      if (each[n][row].explained != decided) again[n][decided].push_back(static_cast<int64_t>(row));
  }
  for (size_t n = 0; n < each.size(); ++n)
    for (const auto& [decided, rows] : again[n]) {
      ExplainOptions of_class = options;
      of_class.explained = decided;
      std::vector<Explanation> explained = explain_rows(*networks[n], rows, of_class);
      for (size_t i = 0; i < rows.size(); ++i) {  // the answer stays: in a batch of other pictures its last digits may differ
        Explanation& e = each[n][static_cast<size_t>(rows[i])];
        e.explained = decided, e.map = std::move(explained[i].map);
      }
    }
  std::vector<Explanation> joint;
  for (size_t row = 0; row < count; ++row) joint.push_back(mean_explanation(of_row(each, row)));
  return joint;
}

}  // namespace

Explanation mean_explanation(const std::vector<Explanation>& each) {
  Explanation mean{mean_answer_of(each), each.at(0).explained, each.at(0).map};
  std::vector<double> values(mean.map.values.size());
  for (const Explanation& e : each) {
    DURA_CHECK(e.explained == mean.explained && e.map.height == mean.map.height && e.map.width == mean.map.width,
               "the mean of a heat map of class ", mean.explained, ", ", mean.map.height, "x", mean.map.width, ", and one of class ",
               e.explained, ", ", e.map.height, "x", e.map.width, " was asked for");
    DURA_CHECK(e.map.rows == mean.map.rows && e.map.columns == mean.map.columns,
               "the models' cells look at different places, as their stems pool differently: their maps have no mean with --cells "
               "receptive-fields. Leave that out, or explain with one model.");
    const double sum = std::accumulate(e.map.values.begin(), e.map.values.end(), 0.0);
    DURA_CHECK(std::isfinite(sum), "a heat map's values sum up to ", sum, "; the network's weights are damaged or have diverged");
    if (sum <= 0) continue;
    for (size_t i = 0; i < values.size(); ++i) values[i] += static_cast<double>(e.map.values[i]) / sum / static_cast<double>(each.size());
  }
  mean.map.values.assign(values.begin(), values.end());
  return mean;
}

std::vector<Explanation> explain(std::span<Classifier* const> networks, const Tensor& images, const ExplainOptions& options) {
  return explain_jointly(networks, static_cast<size_t>(images.shape()[0]), options,
                         [&](Classifier& network, const Rows& rows, const ExplainOptions& o) {
                           const std::vector<Explanation> all = explain(network, images, o);
                           std::vector<Explanation> chosen;
                           for (const int64_t row : rows) chosen.push_back(all[static_cast<size_t>(row)]);
                           return chosen;
                         });
}

std::vector<Explanation> explain(std::span<Classifier* const> networks, const Dataset& dataset, const std::vector<int64_t>& samples,
                                 int64_t batch, const ExplainOptions& options) {
  return explain_jointly(networks, samples.size(), options, [&](Classifier& network, const Rows& rows, const ExplainOptions& o) {
    std::vector<int64_t> chosen;
    for (const int64_t row : rows) chosen.push_back(samples[static_cast<size_t>(row)]);
    return explain(network, dataset, chosen, batch, o);
  });
}

}  // namespace dura
