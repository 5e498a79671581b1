// The heat maps of a split: made and scored, ordered by what is worth a look, and written as files for other programs.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/program/data_options.h"
#include "data/set/class_names.h"
#include "models/explain/deletion_curve.h"
#include "models/explain/explanation.h"
#include "models/explain/overlay.h"
#include "models/explain/heat_map_score.h"
#include "models/explain/sanity_check.h"

namespace dura {

// The scores of heat maps as files for other programs: heat_maps.json and heat_maps.csv (docs/formats.md).

// How the maps were made, for the head of the file: a program's options in its user's words, and what came of them.
struct HeatMapRun {
  std::vector<std::string> model_sha256;  // of each model
  std::string split = "test", method = "gradcam", stage = "layer4", cells = "shares", enlarge = "linear", explain = "predicted",
              tolerance = "0";
  int64_t maps = 0, without_evidence = 0, random_networks = 3;

  std::string title() const;  // a line for people
  // UsageError for a word that has no meaning.
  ExplainOptions explanation(const ClassNames& classes) const;
};

// Checks that were not made (no steps, no pictures) are left out.
std::string heat_maps_json(const HeatMapRun& run, const std::vector<ScoreGroup>& groups, const std::vector<SanityStep>& sanity = {},
                           const DeletionCurves& deletion = {});
// One row per scored picture.
std::string heat_maps_csv(const std::vector<ScoredPicture>& pictures);

// The heat maps of a split's pictures: explained, scored against the lesions' masks, and put in the order in which they are worth a look.
struct SplitMapOptions {
  ExplainOptions explanation = {};
  int64_t batch = 16, limit = 0;  // limit: so many pictures, evenly spread over the split; 0: all
  int64_t random_networks = 3;    // whose maps are scored beside the model's
  Tolerance tolerance = {};
};

// Where options.explanation.shared has several processes, all call the same functions together, and all get what is found.
class SplitMaps {
 public:
  // Explains the pictures by all networks together. The networks and what else is given must outlive this.
  SplitMaps(const std::vector<Classifier*>& networks, const Dataset& dataset, const DataSplits& data, const DataOptions& data_options,
            const SplitMapOptions& options);

  size_t size() const { return samples_.size(); }
  const std::vector<int64_t>& samples() const { return samples_; }  // of the data set
  const Explanation& explanation(size_t i) const { return explanations_.at(i); }
  bool right(size_t i) const { return explanation(i).predicted == dataset_.sample(samples_.at(i)).label; }

  // Those whose masks hold a lesion, beside maps of single random networks, built as the first network is. A mask that cannot be used
  // (missing, damaged, of another size) is named in the log and left out.
  std::vector<ScoredPicture> score();
  // Of `count` pictures (0: of all), evenly spread: the two checks, of the first network.
  SanityCheck sanity(int64_t count);
  DeletionCurves deletion(int64_t count);
  // Hands over at most `count` pictures, with their masks, as they are stored: for up to half of them errors, the surest first, and then
  // right answers from the least sure on. A mask that cannot be read is left out with a warning.
  void show(int64_t count, const std::function<void(const std::string& section, const HeatMapPicture& picture)>& add) const;

 private:
  HeatMapPicture picture(size_t i) const;
  std::vector<size_t> wrong(int64_t count) const;
  // Half of them the least sure, and half spread over the rest.
  std::vector<size_t> right_answers(int64_t count) const;
  struct Scorable {
    int64_t index;  // of samples()
    ScoredSlice slice;
  };
  std::vector<Scorable> scorable_of_own_part() const;
  Image region(size_t i, const Image& gray) const;
  std::vector<size_t> by_probability(bool right, bool descending) const;

  Classifier& model_;
  const Dataset& dataset_;
  const DataSplits& data_;
  const DataOptions& data_options_;
  SplitMapOptions options_;
  std::vector<int64_t> samples_;
  std::vector<Explanation> explanations_;
};

}  // namespace dura
