// dura.h with any structs: sizes, extents, strides, names, numbers, and the bytes of pictures. What a caller must keep is kept: pixels are
// as many as extents and stride say, an array is as long as its structs say.
#include <cstdlib>
#include <cstring>

#include "engine/base/crc32.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/target.h"
#include "tests/programs/c_model.h"

using namespace dura;

namespace {

// A struct of the size that the caller claims, so that the sanitizer sees whoever reads behind it. What a larger one has more is chosen,
// too.
template <class Struct>
std::vector<uint8_t> with_size(const Struct& whole, size_t size, test::Choices& choices) {
  std::vector<uint8_t> bytes(std::max(size, sizeof size), 0);
  std::memcpy(bytes.data(), &whole, std::min(bytes.size(), sizeof whole));
  std::memcpy(bytes.data(), &size, sizeof size);
  if (size > sizeof whole && choices.flag()) bytes[sizeof whole + choices.below(size - sizeof whole)] = choices.number<uint8_t>();
  return bytes;
}

size_t struct_size(size_t known, test::Choices& choices) {
  const size_t sizes[] = {known, known, known, known, known + 8, known - 8, known - 4, sizeof known, 200, 0, 3};
  return choices.of(sizes);
}

int32_t extent(test::Choices& choices) {
  return choices.below(4) == 0 ? choices.number<int32_t>() : static_cast<int32_t>(choices.below(48));
}

struct Picture {
  dura_picture fields = {};
  std::vector<uint8_t> memory = {};
  std::string path = {};

  // False where the pixels would be more memory than an input is worth.
  bool choose(test::Choices& choices) {
    const size_t forms = choices.below(16);
    if (forms == 0) path = "/nonexistent/" + choices.text(20), fields.file = path.c_str();
    fields.reserved = choices.below(32) == 0 ? choices.number<int32_t>() : 0;
    if (forms == 1) {
      const auto bytes = choices.take(choices.number<uint16_t>());
      memory.assign(bytes.begin(), bytes.end());
      fields.encoded = memory.data(), fields.encoded_size = memory.size();
    }
    if (forms < 2 && choices.below(8) != 0) return true;
    fields.width = extent(choices), fields.height = extent(choices);
    const int32_t channels[] = {1, 3, 3, 1, 0, 2, 4, -1};
    fields.channels = choices.of(channels);
    const ptrdiff_t row = ptrdiff_t{fields.width} * fields.channels;
    const ptrdiff_t strides[] = {0, row, -row, row + 5, -row - 5, row - 1, 1 - row, choices.number<ptrdiff_t>()};
    fields.stride = choices.of(strides);
    const bool allowed = fields.width >= 1 && fields.width <= 8192 && fields.height >= 1 && fields.height <= 8192;
    const bool overlaps = fields.stride != 0 && fields.stride > -row && fields.stride < row;
    if (!allowed || (fields.channels != 1 && fields.channels != 3) || overlaps) return hold(1, 0);  // must be refused unread
    constexpr ptrdiff_t most = ptrdiff_t{1} << 20;
    const ptrdiff_t stride = fields.stride == 0 ? row : fields.stride, steps = fields.height - 1;
    if (steps == 0) return hold(static_cast<size_t>(row), 0);
    if (stride > most || stride < -most || stride * steps > most || stride * steps < -most) return false;
    return hold(static_cast<size_t>(std::abs(stride) * steps + row), stride < 0 ? static_cast<size_t>(-stride * steps) : 0);
  }

 private:
  bool hold(size_t bytes, size_t first) {
    if (fields.encoded) return true;  // two forms: refused before either is read
    memory.assign(bytes, 100);
    for (size_t i = 0; i < bytes; ++i) memory[i] = static_cast<uint8_t>(i * 31);
    fields.pixels = memory.data() + first;
    return true;
  }
};

dura_explain_options explain_options(test::Choices& choices, std::string (&texts)[3]) {
  const char* const known[3][5] = {{nullptr, "gradcam", "gradcam++", "hirescam", "layercam"},
                                   {nullptr, "layer4", "layer3", "layer2", "stem"},
                                   {nullptr, "a", "b", "c", ""}};
  const auto name = [&](size_t which) {
    if (choices.below(8) != 0) return choices.of(known[which]);
    texts[which] = choices.text(20);
    return texts[which].c_str();
  };
  dura_explain_options o = {};
  o.method = name(0), o.stage = name(1), o.class_name = name(2);
  o.opacity = choices.flag() ? choices.number<double>() : 0;
  o.overlay = choices.flag() ? static_cast<int32_t>(choices.below(3)) : choices.number<int32_t>();
  o.by_receptive_field = choices.flag() ? static_cast<int32_t>(choices.below(2)) : choices.number<int32_t>();
  return o;
}

// Reads whatever the call has to say.
void look_at(const dura_call* call, dura_status status) {
  if (dura_call_status(call) != status || (status == DURA_OK) != (dura_message(call)[0] == '\0') || status == DURA_ERROR_INTERNAL)
    __builtin_trap();
  [[maybe_unused]] static volatile double seen;
  for (size_t i = 0; i <= dura_answer_count(call); ++i) {
    const double* p = dura_probabilities(call, i);
    if ((p == nullptr) != (dura_predicted(call, i) < 0)) __builtin_trap();
    if (p) seen = p[0] + p[1] + p[2];
  }
  int32_t width = 0, height = 0;
  if (const float* map = dura_map(call, &width, &height)) seen = static_cast<double>(map[width * height - 1]);
  if (const uint8_t* pixels = dura_overlay(call, &width, &height)) seen = pixels[4 * width * height - 1];
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const test::CModel material;
  static dura_call* const call = dura_call_new();
  static dura_model* const model = [] {
    dura_options o = {};
    o.size = sizeof o, o.threads = 1;
    return dura_open_memory(call, material.bytes.data(), material.bytes.size(), &o);
  }();
  if (!model) __builtin_trap();

  test::Choices choices({data, size});
  // The network takes a thousand times as long as all that stands before it, and each run of it reaches something: were the asking enough,
  // nearly all inputs would ask. The sum is over all bytes, so that whoever changes one has no say in it.
  const bool compute = choices.below(64) == 63 && crc32(data, size) % 64 == 0;
  const size_t count = 1 + choices.below(3), claimed = struct_size(sizeof(dura_picture), choices);
  std::vector<Picture> pictures(count);
  std::vector<uint8_t> array;
  for (size_t i = 0; i < count; ++i) {
    if (!pictures[i].choose(choices)) return 0;
    if (!compute && i + 1 == count)
      pictures[i].fields.channels = 7, pictures[i].fields.encoded = nullptr;  // refused when all others are read
    const auto bytes = with_size(pictures[i].fields, i > 0 && choices.below(16) == 0 ? sizeof(dura_picture) : claimed, choices);
    array.insert(array.end(), bytes.begin(), bytes.end());
  }
  const auto* first = reinterpret_cast<const dura_picture*>(array.data());
  look_at(call, dura_predict(call, model, first, count));
  if (!compute && count > 1) return 0;
  std::string texts[3];
  const dura_explain_options o = explain_options(choices, texts);
  const auto options = with_size(o, struct_size(sizeof o, choices), choices);
  look_at(call, dura_explain(call, model, first, reinterpret_cast<const dura_explain_options*>(options.data())));
  return 0;
}
