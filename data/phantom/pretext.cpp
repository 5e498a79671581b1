#include "data/phantom/pretext.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "data/image/codec.h"
#include "data/phantom/phantom_field.h"
#include "engine/base/file.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"

namespace dura {

namespace {

enum class Filling : uint8_t { even, hollow, patchy };

// A bright object. Its border is a noisy circle in (u, v), lengths in units of its axes.
struct Object {
  Point centre, along;
  float long_axis, short_axis, roughness, scale, softness, brightness, core, wall, mottle, offset;
  Filling filling;
};

// The ground: an egg-shaped field with a bright rim, curved dark lines and mottle; around it darkness.
struct Ground {
  Point centre;
  float half_width, half_length, turn, rim, rim_brightness, gap, line_width, line_depth, level;

  float depth(Point p) const {  // mm inside the rim's outer edge, about
    const Point q = p - centre, r = {std::cos(turn) * q.x + std::sin(turn) * q.y, std::cos(turn) * q.y - std::sin(turn) * q.x};
    return (1 - length({r.x / half_width, r.y / half_length})) * std::min(half_width, half_length);
  }
};

struct Dot {
  Point centre;
  float radius, brightness;
};

// The field is often larger than the picture, which then shows a part of it with a piece of the rim.
Ground draw_ground(Random& random, float half) {
  const float width = draw(random, 0.8, 1.5) * half, away = draw(random, 0, 2 * pi),
              shift = draw(random, 0, 1) * std::max(width - 0.75f * half, 0.0f);
  return {.centre = {shift * std::cos(away), shift * std::sin(away)},
          .half_width = width,
          .half_length = width * draw(random, 1.0, 1.25),
          .turn = draw(random, 0, pi),
          .rim = draw(random, 4, 8),
          .rim_brightness = draw(random, 1.3, 2.6),
          .gap = draw(random, 3, 7),
          .line_width = draw(random, 0.4, 1.6),
          .line_depth = draw(random, 0.2, 0.75),
          .level = draw(random, 0.8, 1.05)};
}

Object draw_object(Random& random, const Ground& ground, float half, bool ragged, Filling filling, double largest) {
  Object o{};
  const float radius = draw(random, std::min(10.0, 0.9 * largest), largest), turn = draw(random, 0, 2 * pi);
  // Some objects rest against the rim and are cut by it, the others lie free in the field. Where no such place is found in the picture, the
  // last one tried serves.
  const bool resting = random.chance(0.4);
  for (int attempt = 0; attempt < 40; ++attempt) {
    const float reach = half - 0.7f * radius;
    o.centre = {draw(random, -1, 1) * reach, draw(random, -1, 1) * reach};
    const float room = ground.depth(o.centre) - ground.rim - ground.gap;
    if (resting ? room > 0.3f * radius && room < 0.8f * radius : room > radius + 1) break;
  }
  o.along = {std::cos(turn), std::sin(turn)};
  o.long_axis = radius * draw(random, 0.95, 1.2), o.short_axis = radius * draw(random, 0.75, 1.0);
  o.roughness = ragged ? draw(random, 0.28, 0.5) : draw(random, 0.02, 0.12), o.scale = ragged ? 2.1f : 1.2f;
  o.softness = ragged ? draw(random, 1.5, 4) : draw(random, 1, 2);
  o.filling = filling, o.brightness = filling == Filling::even ? draw(random, 1.12, 1.8) : draw(random, 1.3, 2.3);
  o.core = draw(random, 0.3, 0.85), o.wall = std::min(draw(random, 3, 5.5), 0.42f * o.short_axis);
  o.mottle = draw(random, 0.02, 0.1), o.offset = draw(random, 0, 16);
  return o;
}

float paint(const Object& o, float value, Point p, float room, const NoiseField& border, const NoiseField& inner) {
  const Point q = p - o.centre;
  const float u = dot(q, o.along) / o.long_axis, v = dot(q, {-o.along.y, o.along.x}) / o.short_axis;
  if (u * u + v * v > 4) return value;
  const float radius =
      length({u, v}) * (1 + o.roughness * border.fractal(o.scale * u + o.offset, o.scale * v, o.offset, o.scale > 2 ? 3 : 1));
  const float depth = std::min((1 - radius) * o.short_axis, room);
  const float fine = inner.fractal(p.x / 3.5f, p.y / 3.5f, o.offset, 2);
  float light = o.brightness * (1 + o.mottle * fine);
  const float core = o.core * (1 + 1.5f * o.mottle * fine), coarse = inner.at(p.x / 7, p.y / 7, o.offset + 5);
  if (o.filling == Filling::hollow) light = mix(core, light, coverage(o.wall * (1 + 0.5f * coarse) - depth, 1.8f));
  if (o.filling == Filling::patchy) light = mix(core, light, smooth_step(-0.25f, 0.2f, coarse + 0.35f * fine));
  return mix(value, light, coverage(depth, o.softness));
}

}  // namespace

const std::vector<std::string>& pretext_classes() {
  static const std::vector<std::string> names = {"one_disc",        "two_discs",        "one_ring",  "two_rings",
                                                 "one_ragged_ring", "two_ragged_rings", "one_patch", "two_patches"};
  return names;
}

void check_options(const PretextOptions& o) {
  if (o.size < 64 || o.size > 512) fail_usage("pretext pictures are 64 to 512 pixels wide, ", o.size, " was asked for");
  if (o.images < 8 || o.images > 1000000) fail_usage("the pretext task needs 8 to 1000000 pictures, ", o.images, " were asked for");
  if (!(o.val_share >= 0 && o.val_share < 1)) fail_usage("the share of validation pictures must lie in [0, 1), it is ", o.val_share);
  if (!(o.mm_per_pixel >= 0.3 && o.mm_per_pixel * static_cast<double>(o.size) >= 100 && o.mm_per_pixel <= 4))
    fail_usage("pretext pictures are at least 100 mm wide with pixels of 0.3 to 4 mm; ", o.size, " pixels of ", o.mm_per_pixel,
               " mm were asked for");
}

PretextPicture make_pretext(const PretextOptions& options, int64_t index) {
  DURA_CHECK(index >= 0 && index < options.images, "pretext picture ", index, " of ", options.images, " does not exist");
  const uint64_t key = formula::mix64(random_key(options.seed, "pretext picture") + static_cast<uint64_t>(index));
  PretextPicture result;
  result.label = static_cast<int32_t>(index % static_cast<int64_t>(pretext_classes().size()));
  const int kind = result.label / 2, count = 1 + result.label % 2;
  const bool ragged = kind >= 2;
  const Filling filling = kind == 0 ? Filling::even : kind == 3 ? Filling::patchy : Filling::hollow;

  Random random(random_key(key, "scene"));
  const NoiseField border(random_key(key, "border")), inner(random_key(key, "inner"));
  const WaveField lines(random_key(key, "lines"), draw(random, 22, 40));
  const auto half = static_cast<float>(0.5 * options.mm_per_pixel * static_cast<double>(options.size));
  const Ground ground = draw_ground(random, half);
  std::vector<Object> objects;
  for (int attempt = 0; attempt < 200 && static_cast<int>(objects.size()) < count; ++attempt) {
    // Two objects must both have room and stay apart: later attempts ask for smaller ones.
    const Object o = draw_object(random, ground, half, ragged, filling, std::max(10.0, (count == 1 ? 24 : 17) - 0.1 * attempt));
    const bool apart = std::all_of(objects.begin(), objects.end(), [&](const Object& other) {
      return length(o.centre - other.centre) > 1.1f * (o.long_axis + other.long_axis) + 3;
    });
    if (apart) objects.push_back(o);
  }
  std::vector<Dot> dots;
  for (uint64_t i = 0, n = 6 + random.below(14); i < n; ++i)
    dots.push_back({{draw(random, -1, 1) * half, draw(random, -1, 1) * half},
                    draw(random, 0.8, 2.8),
                    random.chance(0.7) ? draw(random, 1.4, 2.2) : 0.2f});

  const int64_t n = options.size;
  std::vector<float> brightness(static_cast<size_t>(n * n));
  for (int64_t row = 0; row < n; ++row)
    for (int64_t column = 0; column < n; ++column) {
      const auto mm = [&](int64_t i) { return static_cast<float>((static_cast<double>(i) + 0.5) * options.mm_per_pixel) - half; };
      const Point p = {mm(column), mm(row)};
      const float outside = ground.depth(p), depth = outside - ground.rim - ground.gap;
      float value = 0.02f;
      if (outside > -3) {
        value = mix(value, ground.rim_brightness * (1 + 0.3f * inner.at(p.x / 6, p.y / 6, 3)), coverage(outside, 1.2f));
        value = mix(value, 0.14f, coverage(outside - ground.rim, 1.2f));
        float inside = ground.level * (1 + 0.1f * border.at(p.x / 15, p.y / 15, 9) + 0.04f * inner.fractal(p.x / 5, p.y / 5, 11, 2));
        inside *= 1 - ground.line_depth * coverage(ground.line_width - std::abs(lines.line_distance(p.x, p.y, 0)), 1.3f) *
                          smooth_step(-0.2f, 0.3f, border.at(p.x / 20, p.y / 20, 2));
        for (const Dot& d : dots)
          if (std::abs(p.x - d.centre.x) < 4 && std::abs(p.y - d.centre.y) < 4)
            inside = mix(inside, d.brightness, coverage(d.radius - length(p - d.centre), 1.2f));
        for (const Object& o : objects) inside = paint(o, inside, p, depth, border, inner);
        value = mix(value, inside, coverage(depth, 1.2f));
      }
      brightness[static_cast<size_t>(row * n + column)] = value;
    }
  result.image = scan(brightness, n, options.mm_per_pixel, key, 0);
  return result;
}

Manifest write_pretext(const PretextOptions& options, const std::string& directory) {
  check_options(options);
  namespace fs = std::filesystem;
  make_folder(fs::path(directory) / "images");
  Manifest manifest;
  manifest.name = (fs::path(directory) / "manifest.csv").string();
  manifest.columns = {"file", "label", "split", "mm_per_pixel"};
  manifest.rows.resize(static_cast<size_t>(options.images));
  const auto classes = static_cast<int64_t>(pretext_classes().size());
  // Whole rounds through the classes, so that every class has the same share of validation pictures.
  const int64_t val_from = options.images - classes * std::llround(options.val_share * static_cast<double>(options.images / classes));
  parallel_for(options.images, [&](int64_t i) {
    const PretextPicture picture = make_pretext(options, i);
    ManifestRow& row = manifest.rows[static_cast<size_t>(i)];
    row.file = concat("images/", i, ".png"), row.label = pretext_classes()[static_cast<size_t>(picture.label)];
    row.split = split_name(i < val_from ? Split::train : Split::val), row.mm_per_pixel = options.mm_per_pixel;
    write_png((fs::path(directory) / row.file).string(), picture.image);
  });
  write_manifest(manifest.name, manifest);
  return manifest;
}

}  // namespace dura
