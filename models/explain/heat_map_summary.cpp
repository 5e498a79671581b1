#include "models/explain/heat_map_summary.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace dura {

double binomial_tail(int64_t trials, int64_t hits, double p) {
  if (hits <= 0) return 1;
  if (p <= 0) return 0;
  if (p >= 1) return 1;
  double sum = 0;
  for (int64_t k = hits; k <= trials; ++k) {
    const auto n = static_cast<double>(trials), x = static_cast<double>(k);
    sum += std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) - std::lgamma(n - x + 1) + x * std::log(p) + (n - x) * std::log1p(-p));
  }
  return std::min(1.0, sum);
}

namespace {

ScoreGroup group_of(const std::string& name, const std::vector<ScoredPicture>& pictures,
                    const std::function<bool(const ScoredPicture&)>& belongs) {
  ScoreGroup g{.name = name};
  for (const ScoredPicture& p : pictures) {
    if (!belongs(p)) continue;
    ++g.pictures;
    g.without_evidence += !p.score.evidence;
    g.random_maps_with_evidence += p.score.random_maps_with_evidence;
    for (size_t i = 0; i < guesses; ++i) g.means[i] += p.score.scores[i];
  }
  if (g.pictures == 0) return g;
  const auto n = static_cast<double>(g.pictures);
  const int64_t hits = std::lround(g[Guess::network].pointing);
  for (MapScore& m : g.means) m = m / n;
  g.random_maps_with_evidence /= n;
  g.p_value = binomial_tail(g.pictures, hits, g[Guess::random_point].pointing);
  return g;
}

}  // namespace

std::vector<ScoreGroup> score_groups(const std::vector<ScoredPicture>& pictures, const std::vector<std::string>& classes) {
  std::vector<ScoreGroup> groups;
  const auto add = [&](const std::string& name, const std::function<bool(const ScoredPicture&)>& belongs) {
    if (ScoreGroup g = group_of(name, pictures, belongs); g.pictures > 0) groups.push_back(std::move(g));
  };
  add("all", [](const ScoredPicture&) { return true; });
  for (const std::string& c : classes) add(c, [&](const ScoredPicture& p) { return p.label == c; });
  add("right", [](const ScoredPicture& p) { return p.right(); });
  add("wrong", [](const ScoredPicture& p) { return !p.right(); });
  return groups;
}

}  // namespace dura
