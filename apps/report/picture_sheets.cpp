#include "apps/report/picture_sheets.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/program/text_table.h"
#include "data/image/codec.h"
#include "data/image/drawing.h"
#include "data/image/resize.h"
#include "models/explain/explanation.h"

namespace dura {

namespace {

constexpr int64_t thumbnail_side = 160, columns = 2;

// Placements are of squares: the audit compares pictures brought to one, whatever their proportions.
Image square_of(const Manifest& manifest, int64_t row, const std::string& folder) {
  const std::filesystem::path file = std::filesystem::path(folder) / manifest.rows[static_cast<size_t>(row)].file;
  return resize_bilinear(to_gray(read_image(file.string())), thumbnail_side, thumbnail_side);
}

Image laid(const Image& picture, const Placement& placement) {
  const std::vector<float> levels = moved({picture.pixels.begin(), picture.pixels.end()}, thumbnail_side, placement);
  Image result(thumbnail_side, thumbnail_side, 1);
  std::transform(levels.begin(), levels.end(), result.pixels.begin(),
                 [](float v) { return static_cast<uint8_t>(std::clamp(std::lround(v), 0L, 255L)); });
  return result;
}

constexpr int64_t least_cell = 144, most_cell = 256;  // pixels: room for a caption; eight cells on a screen

// The picture on a gray square, its proportions kept, so that a step that distorts is seen to. Small ones are enlarged by a whole number,
// without smoothing: pixels stay pixels.
Image in_cell(const Image& picture, int64_t side) {
  const int64_t longest = std::max(picture.height, picture.width), times = side / longest;
  const auto scaled = [&](int64_t length) {
    return times >= 1 ? length * times : std::max<int64_t>(1, (length * side + longest / 2) / longest);
  };
  const int64_t height = scaled(picture.height), width = scaled(picture.width);
  const Image fitted = to_rgb(times >= 1 ? resize_nearest(picture, height, width) : resize_bilinear(picture, height, width));
  Image cell(side, side, 3, 128);
  for (int64_t r = 0; r < height; ++r) std::copy_n(fitted.row(r), 3 * width, cell.row(r + (side - height) / 2) + (side - width) / 2 * 3);
  return cell;
}

Image picture_of(const Batch& batch, int64_t row) {
  const Shape& shape = batch.images.shape();
  Image image(shape[1], shape[2], 3);
  std::copy_n(batch.images.data<uint8_t>() + row * static_cast<int64_t>(image.pixels.size()), image.pixels.size(), image.pixels.begin());
  return image;
}

}  // namespace

std::optional<Image> copy_sheet(const DataSurvey& survey, const Manifest& manifest, const std::string& folder, int64_t most) {
  if (survey.similar.empty()) return {};
  std::vector<NearCopy> pairs = survey.similar;
  std::stable_sort(pairs.begin(), pairs.end(), [](const NearCopy& a, const NearCopy& b) { return a.likeness < b.likeness; });
  pairs.resize(std::min(pairs.size(), static_cast<size_t>(most)));
  std::vector<Image> rows;
  for (const NearCopy& pair : pairs) {
    const Image first = square_of(manifest, pair.first, folder), second = square_of(manifest, pair.second, folder);
    const auto name = [&](int64_t row) { return manifest.rows[static_cast<size_t>(row)].file; };
    const auto last_part = [&](int64_t row) { return std::filesystem::path(name(row)).filename().string(); };
    rows.push_back(with_caption(beside({with_caption(first, last_part(pair.first)), with_caption(second, last_part(pair.second)),
                                        with_caption(laid(second, pair.placement), "likeness " + fixed(pair.likeness, 4))}),
                                pair.placement.name()));
  }
  return sheet(rows, columns);
}

Image input_sheet(const Dataset& dataset, const ClassNames& classes, const InputSheetOptions& options) {
  const int64_t side = std::clamp(std::max(dataset.height(), dataset.width()), least_cell, most_cell);
  const auto cell = [&](const Image& picture, const std::string& name) { return with_caption(in_cell(picture, side), name); };
  std::vector<std::vector<Image>> rows;
  std::vector<std::string> titles;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const Sample& sample = dataset.sample(i);
    Image image = read_image((std::filesystem::path(options.folder) / sample.file).string());
    titles.push_back(concat(classes[sample.label], "  ", sample.file));
    std::vector<Image>& row = rows.emplace_back();
    row.push_back(cell(image, concat("original ", image.height, "x", image.width)));
    for (const PreprocessStep& step : dataset.preprocessing().steps()) {
      image = step.slice(std::move(image));
      row.push_back(cell(image, step.name));
    }
  }
  Loader loader(dataset, {.batch_size = dataset.size(), .training = true, .seed = options.seed, .policies = options.policies, .items = {}});
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    loader.start_epoch(epoch);
    loader.next();
    const Batch& batch = loader.batch();
    for (int64_t k = 0; k < batch.rows; ++k)
      rows[static_cast<size_t>(batch.samples[static_cast<size_t>(k)])].push_back(cell(picture_of(batch, k), concat("epoch ", epoch + 1)));
  }
  std::vector<Image> titled;
  for (size_t i = 0; i < rows.size(); ++i) titled.push_back(with_caption(beside(rows[i]), titles[i]));
  return sheet(titled, 1);
}

std::vector<int64_t> rows_of_each_class(const Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes,
                                        int64_t per_class) {
  const std::vector<int32_t> labels = class_indices(manifest, rows, classes, false);
  std::vector<int64_t> chosen;
  for (int64_t c = 0; c < classes.size(); ++c) {
    std::vector<int64_t> of_class;
    for (size_t i = 0; i < rows.size(); ++i)
      if (labels[i] == c) of_class.push_back(rows[i]);
    for (const int64_t k : spread(std::ssize(of_class), per_class)) chosen.push_back(of_class[static_cast<size_t>(k)]);
  }
  return chosen;
}

}  // namespace dura
