#include "apps/evaluation/analysed_picture.h"

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/base/parallel.h"

namespace dura {
namespace {

double lesion_diameter_mm(const Dataset& dataset, int64_t sample) {
  try {
    return dataset.lesion(sample).diameter_mm;
  } catch (const Error& e) {
    log_warning("no lesion size: ", e.what());
    return 0;
  }
}

}  // namespace

std::vector<AnalysedPicture> analysed_pictures(const Predictions& p, const Decision& decision, const Dataset& dataset,
                                               const Manifest& manifest, const std::vector<std::string>& units) {
  const std::vector<int32_t> decided = decision.classes(p.probabilities, p.classes);
  std::vector<AnalysedPicture> pictures(p.labels.size());
  parallel_for(static_cast<int64_t>(pictures.size()), [&](int64_t row) {
    const auto i = static_cast<size_t>(row);
    const Sample& sample = dataset.sample(p.samples[i]);
    const double* probabilities = p.probabilities.data() + row * p.classes;
    pictures[i] = {.file = sample.file,
                   .unit = units[i],
                   .label = p.labels[i],
                   .decided = decided[i],
                   .probabilities = {probabilities, probabilities + p.classes},
                   .diameter_mm = lesion_diameter_mm(dataset, p.samples[i]),
                   .features = measure_picture(dataset.image(p.samples[i])),
                   .columns = manifest.rows[static_cast<size_t>(sample.row)].extra};
  });
  return pictures;
}

}  // namespace dura
