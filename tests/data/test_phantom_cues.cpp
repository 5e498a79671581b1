// What a phantom's class cannot be read from: grey levels, place, size and mean brightness of the lesion, a coarse picture. If one of them
// were enough, a network that scores well would have shown nothing, and its heat maps would rightly lie anywhere.
#include "tests/support/catch.h"

#include <cmath>

#include "data/audit/logistic_regression.h"
#include "data/phantom/phantom.h"
#include "engine/base/parallel.h"

using namespace dura;
using Row = LogisticRegression::Row;

namespace {

constexpr PhantomOptions cue_options = {.seed = 41, .patients = 240, .slices_per_patient = 3, .size = 128, .meningioma_share = 0.5};

Row histogram(const Phantom& p) {
  Row bins(64, 0);
  for (uint8_t v : p.image.pixels) ++bins[v / 4];
  return bins;
}

// Linear terms, and what a linear rule needs to see a circle: distance to the brain's centre, squares and the product.
Row place_and_size(const Phantom& p) {
  double area = 0, x = 0, y = 0, light = 0, brain = 0, brain_x = 0, brain_y = 0;
  for (int64_t r = 0; r < p.mask.height; ++r)
    for (int64_t c = 0; c < p.mask.width; ++c) {
      const auto row = static_cast<double>(r), column = static_cast<double>(c);
      if (p.mask.at(r, c)) area += 1, x += column, y += row, light += p.image.at(r, c);
      if (p.brain.at(r, c)) brain += 1, brain_x += column, brain_y += row;
    }
  x /= area, y /= area, light /= area;
  return {x, y, area, light, std::hypot(x - brain_x / brain, y - brain_y / brain), x * x, y * y, x * y, area * area, light * light};
}

Row coarse_picture(const Phantom& p) {
  Row means(256, 0);
  const int64_t cell = p.image.width / 16;
  for (int64_t r = 0; r < p.image.height; ++r)
    for (int64_t c = 0; c < p.image.width; ++c)
      means[static_cast<size_t>(r / cell * 16 + c / cell)] += p.image.at(r, c) / static_cast<double>(cell * cell);
  return means;
}

// Mean of both classes' recall.
double balanced_accuracy(const LogisticRegression& model, const std::vector<Row>& rows, const std::vector<int>& labels) {
  double right[2] = {0, 0}, all[2] = {0, 0};
  for (size_t i = 0; i < rows.size(); ++i) all[labels[i]] += 1, right[labels[i]] += (model.score(rows[i]) > 0) == (labels[i] == 1);
  return 0.5 * (right[0] / all[0] + right[1] / all[1]);
}

struct Accuracy {
  double held_out = 0, train = 0;
};

// Three folds by patient; of several penalties the one that does best on the held-out patients, which favours the cue.
Accuracy best_accuracy(const std::vector<Row>& rows, const std::vector<int>& labels, const std::vector<int64_t>& patients) {
  Accuracy best;
  for (double penalty : {0.001, 0.01, 0.1, 1.0}) {
    Accuracy mean;
    for (int64_t fold = 0; fold < 3; ++fold) {
      std::vector<Row> train, held_out;
      std::vector<int> train_labels, held_out_labels;
      for (size_t i = 0; i < rows.size(); ++i) {
        // Neighbouring numbers alternate between the classes, so pairs of patients keep the folds balanced.
        const bool out = patients[i] / 2 % 3 == fold;
        (out ? held_out : train).push_back(rows[i]);
        (out ? held_out_labels : train_labels).push_back(labels[i]);
      }
      const LogisticRegression model(train, train_labels, penalty);
      mean.held_out += balanced_accuracy(model, held_out, held_out_labels) / 3,
          mean.train += balanced_accuracy(model, train, train_labels) / 3;
    }
    if (mean.held_out > best.held_out) best = mean;
  }
  return best;
}

}  // namespace

TEST_CASE("no trivial cue tells the phantoms' classes apart", "[data][phantom]") {
  const int64_t count = cue_options.images();
  REQUIRE(count >= 600);
  struct Features {
    Row histogram, place, coarse;
  };
  std::vector<Features> features(static_cast<size_t>(count));
  std::vector<int> labels(static_cast<size_t>(count));
  std::vector<int64_t> patients(static_cast<size_t>(count));
  parallel_for(count, [&](int64_t i) {
    const Phantom p = make_phantom(cue_options, i);
    const auto at = static_cast<size_t>(i);
    features[at] = {histogram(p), place_and_size(p), coarse_picture(p)};
    labels[at] = p.kind == LesionKind::glioma, patients[at] = p.patient;
  });
  const auto check = [&](const char* cue, Row Features::*member) {
    std::vector<Row> rows;
    for (const Features& f : features) rows.push_back(f.*member);
    const Accuracy accuracy = best_accuracy(rows, labels, patients);
    INFO(cue << ": balanced accuracy " << accuracy.held_out << " on held-out patients, " << accuracy.train << " on training patients");
    CHECK(accuracy.held_out <= 0.75);
    // The regression has learnt something of its training rows: a judge that cannot convict proves nothing.
    CHECK(accuracy.train > 0.55);
  };
  check("histogram of 64 bins", &Features::histogram);
  check("place, area and mean brightness", &Features::place);
  check("picture of 16x16", &Features::coarse);

  SECTION("a planted cue is found") {
    std::vector<Row> brighter, moved;
    for (size_t i = 0; i < features.size(); ++i) {
      brighter.push_back(features[i].coarse), moved.push_back(features[i].place);
      for (double& v : brighter[i]) v += 40 * labels[i] * (v > 60);
      moved[i][4] += 20 * labels[i];
    }
    CHECK(best_accuracy(brighter, labels, patients).held_out > 0.75);
    CHECK(best_accuracy(moved, labels, patients).held_out > 0.75);
  }
}
