#include <cmath>

#include "engine/base/file.h"
#include "engine/base/text.h"
#include "models/c/handles.h"
#include "models/c/model.h"

namespace dura::c {
namespace {

Image image_of_pixels(const dura_picture& p, const std::string& name) {
  const DecodeOptions limits;
  if (p.channels != 1 && p.channels != 3) fail_usage(name, " has ", p.channels, " channels, expected 1 (gray) or 3 (red, green, blue)");
  if (p.width < 1 || p.height < 1 || p.width > limits.max_side || p.height > limits.max_side ||
      int64_t{p.width} * p.height > limits.max_pixels)
    fail_usage(name, " has ", p.height, " rows of ", p.width, " pixels, expected 1 to ", limits.max_side, " of both and at most ",
               limits.max_pixels, " in all");
  const ptrdiff_t row = ptrdiff_t{p.width} * p.channels, stride = p.stride == 0 ? row : p.stride;
  if (stride > -row && stride < row)
    fail_usage(name, " has a stride of ", stride, " bytes, its rows have ", row, ". Rows must not overlap.");
  Image image(p.height, p.width, p.channels);
  for (int64_t r = 0; r < p.height; ++r) std::copy_n(p.pixels + r * stride, row, image.row(r));
  return image;
}

Image image_of(const dura_picture& p, const std::string& name, dura_status& kind) {
  kind = DURA_ERROR_USAGE;
  const int forms = (p.file != nullptr) + (p.encoded != nullptr) + (p.pixels != nullptr);
  if (forms != 1) fail_usage(name, " has ", forms, " of file, encoded and pixels, expected one; the others must be NULL");
  if (p.reserved != 0) fail_usage(name, ": reserved is ", p.reserved, ", expected 0");
  if (p.pixels) return image_of_pixels(p, name);
  if (p.file) {
    kind = DURA_ERROR_FILE;
    const FileBytes bytes = read_file_bytes(p.file, DecodeOptions{}.max_file_bytes);
    kind = DURA_ERROR_PICTURE;
    return decode_image(bytes.span(), p.file);
  }
  kind = DURA_ERROR_PICTURE;
  return decode_image({static_cast<const uint8_t*>(p.encoded), p.encoded_size}, name);
}

std::vector<Image> images_of(const dura_picture* pictures, size_t count, dura_status& kind) {
  if (count > 0) require_handle(pictures, "the array of pictures");
  std::vector<Image> images;
  const char* at = reinterpret_cast<const char*>(pictures);
  for (size_t i = 0; i < count; ++i, at += pictures->size) {
    kind = DURA_ERROR_USAGE;
    const auto* given = reinterpret_cast<const dura_picture*>(at);
    const dura_picture picture = known_part(given, "dura_picture");
    if (given->size != pictures->size)
      fail_usage("picture ", i + 1, " of ", count, " has the size ", given->size, ", the first has ", pictures->size,
                 ". All of an array must have the same.");
    images.push_back(image_of(picture, concat("picture ", i + 1, " of ", count), kind));
  }
  return images;
}

int32_t class_number(const std::vector<std::string>& classes, const char* name) {
  if (!name) return -1;
  const auto found = std::find(classes.begin(), classes.end(), name);
  if (found == classes.end()) fail_usage("dura_explain_options.class_name is '", name, "', the model knows ", first_few(classes, ", ", 12));
  return static_cast<int32_t>(found - classes.begin());
}

struct ExplainRequest {
  ExplainOptions options;
  double opacity = 0.5;
  int32_t overlay = DURA_OVERLAY_PICTURE;
};

ExplainRequest explain_request(const dura_explain_options* given, const std::vector<std::string>& classes) {
  const dura_explain_options o = known_part(given, "dura_explain_options");
  if (o.overlay < DURA_OVERLAY_PICTURE || o.overlay > DURA_OVERLAY_NONE)
    fail_usage("dura_explain_options.overlay is ", o.overlay, ", expected one of DURA_OVERLAY_PICTURE, _LAYER and _NONE");
  if (o.opacity != 0 && !(o.opacity > 0 && o.opacity <= 1))
    fail_usage("dura_explain_options.opacity is ", o.opacity, ", expected a number above 0 and up to 1, or 0 for one half");
  if (o.by_receptive_field != 0 && o.by_receptive_field != 1)
    fail_usage("dura_explain_options.by_receptive_field is ", o.by_receptive_field, ", expected 0 or 1");
  ExplainRequest request;
  if (o.method) request.options.method = cam_method_by_name(o.method);
  if (o.stage) request.options.stage = ResNet::stage_by_name(o.stage);
  request.options.explained = class_number(classes, o.class_name);
  request.options.by_receptive_field = o.by_receptive_field == 1;
  if (o.opacity != 0) request.opacity = o.opacity;
  request.overlay = o.overlay;
  return request;
}

void write_overlay(dura_call& call, const Image& picture, const HeatMap& map, const ExplainRequest& request) {
  const bool layer = request.overlay == DURA_OVERLAY_LAYER;
  const Image colors = overlay(picture, map, layer ? 1 : request.opacity);
  const auto alpha = static_cast<uint8_t>(!layer ? 255 : map.has_evidence() ? std::lround(255 * request.opacity) : 0);
  const size_t pixels = colors.pixels.size() / 3;
  call.overlay.resize(4 * pixels);
  for (size_t i = 0; i < pixels; ++i) {
    std::copy_n(&colors.pixels[3 * i], 3, &call.overlay[4 * i]);
    call.overlay[4 * i + 3] = alpha;
  }
  call.overlay_width = static_cast<int32_t>(colors.width), call.overlay_height = static_cast<int32_t>(colors.height);
}

template <class T>
const T* with_extents(const std::vector<T>& values, int32_t w, int32_t h, int32_t* width, int32_t* height) {
  if (width) *width = values.empty() ? 0 : w;
  if (height) *height = values.empty() ? 0 : h;
  return values.empty() ? nullptr : values.data();
}

}  // namespace
}  // namespace dura::c

using namespace dura;

dura_call* dura_call_new(void) { return new (std::nothrow) dura_call; }
void dura_call_free(dura_call* call) { delete call; }
dura_status dura_call_status(const dura_call* call) { return call ? call->status : DURA_ERROR_USAGE; }
const char* dura_message(const dura_call* call) { return call ? call->message.data() : "the call is NULL"; }

dura_status dura_predict(dura_call* call, dura_model* model, const dura_picture* pictures, size_t count) {
  return c::guarded(call, [&](dura_status& kind) {
    c::require_handle(model, "the model");
    const std::vector<Image> images = c::images_of(pictures, count, kind);
    kind = DURA_ERROR_INTERNAL;
    for (const Answer& answer : model->predictor->predict(images)) call->add(answer);
  });
}

dura_status dura_explain(dura_call* call, dura_model* model, const dura_picture* picture, const dura_explain_options* options) {
  return c::guarded(call, [&](dura_status& kind) {
    c::require_handle(model, "the model");
    c::require_handle(picture, "the picture");
    const c::ExplainRequest request = c::explain_request(options, model->predictor->classes());
    const Image image = c::images_of(picture, 1, kind).front();
    kind = DURA_ERROR_INTERNAL;
    Explanation e = model->predictor->explain(image, request.options);
    if (request.overlay != DURA_OVERLAY_NONE) c::write_overlay(*call, image, e.map, request);
    call->add(e);
    call->explained = e.explained;
    call->map_width = static_cast<int32_t>(e.map.width), call->map_height = static_cast<int32_t>(e.map.height);
    call->map = std::move(e.map.values);
  });
}

size_t dura_answer_count(const dura_call* call) { return call ? call->predicted.size() : 0; }
int32_t dura_predicted(const dura_call* call, size_t picture) { return picture < dura_answer_count(call) ? call->predicted[picture] : -1; }
const double* dura_probabilities(const dura_call* call, size_t picture) {
  return picture < dura_answer_count(call) ? call->probabilities.data() + picture * call->classes : nullptr;
}

int32_t dura_explained(const dura_call* call) { return call ? call->explained : -1; }
const float* dura_map(const dura_call* call, int32_t* width, int32_t* height) {
  static const std::vector<float> none;
  return call ? c::with_extents(call->map, call->map_width, call->map_height, width, height) : c::with_extents(none, 0, 0, width, height);
}
const uint8_t* dura_overlay(const dura_call* call, int32_t* width, int32_t* height) {
  static const std::vector<uint8_t> none;
  return call ? c::with_extents(call->overlay, call->overlay_width, call->overlay_height, width, height)
              : c::with_extents(none, 0, 0, width, height);
}
