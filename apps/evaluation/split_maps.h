// The heat maps of a split's pictures: explained, scored against the lesions' masks, and put in the order in which they are worth a look.
#pragma once
#include <memory>
#include <vector>

#include "models/explain/heat_map_picture.h"
#include "models/explain/heat_map_summary.h"
#include "apps/program/data_options.h"
#include "models/explain/deletion_curve.h"
#include "models/explain/explanation.h"
#include "models/explain/sanity_check.h"

namespace dura {

struct SplitMapOptions {
  ExplainOptions explanation = {};
  int64_t batch = 16, limit = 0;  // limit: so many pictures, evenly spread over the split; 0: all
  int64_t random_networks = 3;    // whose maps are scored beside the model's
  Tolerance tolerance = {};
};

class SplitMaps {
 public:
  // Explains the pictures. Everything given must outlive this.
  SplitMaps(Classifier& model, const Dataset& dataset, const DataSplits& data, const DataOptions& data_options,
            const SplitMapOptions& options);

  size_t size() const { return samples_.size(); }
  const std::vector<int64_t>& samples() const { return samples_; }  // of the data set
  const Explanation& explanation(size_t i) const { return explanations_.at(i); }
  bool right(size_t i) const { return explanation(i).predicted == dataset_.sample(samples_.at(i)).label; }

  // Those whose masks hold a lesion. A mask that cannot be used (missing, damaged, of another extent) is named in the log and left out.
  std::vector<ScoredPicture> score();
  // Of `count` pictures (0: of all), evenly spread: the two checks.
  SanityCheck sanity(int64_t count);
  DeletionCurves deletion(int64_t count);
  // With the picture and its mask as they are stored; a mask that cannot be read is left out with a warning.
  HeatMapPicture picture(size_t i) const;
  // At most `count` each: errors, the surest first, and right answers from the least sure on, half of them the least sure and half spread
  // over the rest.
  std::vector<size_t> wrong(int64_t count) const;
  std::vector<size_t> right_answers(int64_t count) const;

 private:
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
