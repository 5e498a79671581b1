#include "apps/report/copy_sheet.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/program/decimals.h"
#include "data/image/drawing.h"
#include "data/image/codec.h"
#include "data/image/resize.h"

namespace dura {
namespace {

constexpr int64_t side = 160, columns = 2;

// Placements are of squares: the audit compares pictures brought to one, whatever their proportions.
Image square_of(const Manifest& manifest, int64_t row, const std::string& folder) {
  const std::filesystem::path file = std::filesystem::path(folder) / manifest.rows[static_cast<size_t>(row)].file;
  return resize_bilinear(to_gray(read_image(file.string())), side, side);
}

Image laid(const Image& picture, const Placement& placement) {
  const std::vector<float> levels = moved({picture.pixels.begin(), picture.pixels.end()}, side, placement);
  Image result(side, side, 1);
  std::transform(levels.begin(), levels.end(), result.pixels.begin(),
                 [](float v) { return static_cast<uint8_t>(std::clamp(std::lround(v), 0L, 255L)); });
  return result;
}

}  // namespace

std::optional<Image> copy_sheet(const DataSurvey& survey, const Manifest& manifest, const std::string& folder, int64_t most) {
  if (survey.similar.empty()) return {};
  std::vector<SimilarRows> pairs = survey.similar;
  std::stable_sort(pairs.begin(), pairs.end(), [](const SimilarRows& a, const SimilarRows& b) { return a.likeness < b.likeness; });
  pairs.resize(std::min(pairs.size(), static_cast<size_t>(most)));
  std::vector<Image> rows;
  for (const SimilarRows& pair : pairs) {
    const Image first = square_of(manifest, pair.first, folder), second = square_of(manifest, pair.second, folder);
    const auto name = [&](int64_t row) { return manifest.rows[static_cast<size_t>(row)].file; };
    const auto last_part = [&](int64_t row) { return std::filesystem::path(name(row)).filename().string(); };
    rows.push_back(with_caption(beside({with_caption(first, last_part(pair.first)), with_caption(second, last_part(pair.second)),
                                        with_caption(laid(second, pair.placement), "likeness " + fixed(pair.likeness, 4))}),
                                pair.placement.name()));
  }
  return sheet(rows, columns);
}

}  // namespace dura
