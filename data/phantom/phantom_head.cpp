#include "data/phantom/phantom_head.h"

#include <algorithm>

namespace dura {

namespace {
// Edges are drawn over this many mm: tissue borders are never sharper than the scanner's slice thickness lets them be.
constexpr float edge = 1.2f;
}  // namespace

Head::Head(uint64_t key) : texture_(random_key(key, "texture")), folds_(random_key(key, "folds")), sulci_(random_key(key, "sulci"), 27.0f) {
  Random random(random_key(key, "head"));
  half_width_ = draw(random, 66, 75), half_length_ = draw(random, 82, 91), fullness_ = draw(random, 2.1, 2.6),
  egg_ = draw(random, 0.02, 0.09);
  skull_ = draw(random, 5, 8), scalp_fat_ = draw(random, 4, 8), atrophy_ = draw(random, 0.6, 1.5), ventricles_ = draw(random, 0.7, 1.6);
  bend_ = draw(random, -2, 2), sulcus_depth_ = draw(random, 17, 26), white_contrast_ = draw(random, 0.4, 1.2);
  choroid_ = draw(random, 0.2, 1.0), sinus_ = draw(random, 0.6, 1.2), right_sinus_ = draw(random, 0.3, 1.2);
  dura_brightness_ = draw(random, 0.4, 1.1), mottle_ = draw(random, 0.02, 0.06);
  for (float& v : wobble_) v = draw(random, -1, 1);
  const uint64_t count = 12 + random.below(16);
  for (uint64_t i = 0; i < count; ++i) {
    const float angle = draw(random, 0, 2 * pi), reach = std::sqrt(draw(random, 0.05, 1));
    const bool calcified = random.chance(0.2);
    // Vessels run up and down through several slices; calcifications are small in all directions and can be bright or empty of signal.
    spots_.push_back({{reach * std::cos(angle) * 58, reach * std::sin(angle) * 72},
                      draw(random, lowest_level_mm, highest_level_mm),
                      draw(random, 0.8, calcified ? 2.6 : 1.6),
                      calcified ? 6.0f : draw(random, 8, 25),
                      calcified && random.chance(0.5) ? 0.15f : draw(random, 1.4, 2.2)});
  }
  // A vein as wide as a finger in most heads, brighter than any lesion and no sign of either class: to point at what is brightest is to be
  // wrong about where the tumour is.
  if (random.chance(0.75)) {
    const float angle = draw(random, 0, 2 * pi), reach = draw(random, 0.3, 0.85);
    spots_.push_back({{reach * std::cos(angle) * 58, reach * std::sin(angle) * 72}, draw(random, -10, 30), draw(random, 5.5, 8), 60, 2.7f});
  }
}

Head::Slice::Slice(const Head& head, float z) : head_(head), z_(z) {
  // The head is widest 15 mm below the foramina of Monro; towards the vertex its shells are cut obliquely and look thicker.
  const float rise = (z + 15) / 98, shrink = std::sqrt(1 - rise * rise), oblique = 1 / std::max(shrink, 0.6f);
  scalp_ = head.scalp_fat_ * oblique, shell_ = scalp_ + head.skull_ * oblique;
  for (size_t i = 0; i < radius_.size(); ++i) {
    const float angle = 2 * pi * static_cast<float>(i) / 256, c = std::cos(angle), s = std::sin(angle), n = head.fullness_;
    // A superellipse, wider behind than in front, with slight bumps.
    const float a = head.half_width_ * (1 + head.egg_ * s), b = head.half_length_;
    float r = std::pow(std::pow(std::abs(c) / a, n) + std::pow(std::abs(s) / b, n), -1 / n);
    for (int k = 0; k < 4; ++k) {
      const auto order = static_cast<float>(k + 2);
      const size_t w = static_cast<size_t>(2 * k);
      r *= 1 + 0.008f * (head.wobble_[w] * std::cos(order * angle) + head.wobble_[w + 1] * std::sin(order * angle + 0.03f * z));
    }
    radius_[i] = r * shrink;
  }
}

float Head::Slice::scalp_depth(Point p) const {
  const float position = (std::atan2(p.y, p.x) / (2 * pi) + 1) * 256, whole = std::floor(position);
  const size_t i = static_cast<size_t>(whole) & 255;
  return mix(radius_[i], radius_[i + 1], position - whole) - length(p);
}

Point Head::Slice::inner_surface(float angle, float depth) const {
  const Point direction = {std::cos(angle), std::sin(angle)};
  // brain_depth at one mm from the centre: the inner radius less that millimetre.
  return direction * (brain_depth(direction) + 1 - depth);
}

float Head::Slice::falx_distance(Point p) const { return p.x - head_.bend_ * std::cos(p.y / 40); }

float Head::Slice::tentorium_distance(Point p) const {
  // In an axial cut the tentorium is an inverted V whose apex moves backwards as the cut moves up.
  return 0.78f * (p.y - (17 + 1.5f * (z_ + 25)) - 0.75f * std::abs(falx_distance(p)));
}

float Head::Slice::falx_presence(Point p) const {
  const float above = smooth_step(24, 34, z_);  // above the corpus callosum the falx parts the whole brain
  const float front = smooth_step(-24, -34, p.y), back = smooth_step(32, 42, p.y);
  return std::max(above, std::max(front, back)) * (tentorium_distance(p) > 0 ? 0.0f : 1.0f);
}

float Head::Slice::ventricle_distance(Point p) const {
  const float size = head_.ventricles_, x = std::abs(falx_distance(p));
  const Point q = {x, p.y};
  float inside = -100;
  const auto horn = [&](Point a, Point b, float radius, float level, float half) {
    const float r = radius * size * section(z_, level, half);
    if (r > 0.5f) inside = std::max(inside, r - segment_distance(q, a, b));
  };
  horn({4, -7}, {7 + 3 * size, -25}, 3.6f, 2, 15);    // frontal horns
  horn({8, -18}, {10 + 2 * size, 16}, 4.2f, 16, 12);  // bodies
  horn({13, 17}, {18 + 2 * size, 33}, 4.6f, 4, 14);   // atria and occipital horns
  horn({0, -3}, {0, 8}, 1.8f, -10, 13);               // third ventricle
  horn({0, 38}, {0, 42}, 4.0f, -28, 12);              // fourth ventricle
  return inside;
}

float Head::Slice::membranes_over(float value, Point p, float depth) const {
  const Head& h = head_;
  const float falx = falx_distance(p), presence = falx_presence(p), dura = mix(tissue::gray, tissue::dura_mater, h.dura_brightness_);
  // The fissure's fluid on both sides, then the membrane itself.
  value = mix(value, tissue::fluid, 0.75f * presence * coverage(0.9f * h.atrophy_ + 0.5f - std::abs(falx), edge));
  value = mix(value, dura, presence * coverage(0.6f - std::abs(falx), edge));
  const float tentorium = tentorium_distance(p);
  value = mix(value, tissue::fluid, 0.5f * coverage(1.6f - std::abs(tentorium), edge));
  value = mix(value, dura * 1.1f, coverage(0.8f - std::abs(tentorium), edge));
  // Sagittal sinus behind and, smaller, in front; straight sinus at the tentorium's apex; transverse sinuses low and behind.
  const float sinus = tissue::vessel * (0.85f + 0.25f * h.sinus_);
  value = mix(value, sinus, coverage((p.y > 0 ? 7.5f : 4.5f) * h.sinus_ - depth - 1.5f * std::abs(falx), edge));
  if (z_ < 14 && z_ > -22)
    value = mix(value, sinus, coverage(2.2f * h.sinus_ - length({falx, 0.5f * (p.y - (17 + 1.5f * (z_ + 25)))}), edge));
  if (z_ < -8) {
    const float wide = (falx > 0 ? h.right_sinus_ : 1.5f - h.right_sinus_) * 5.5f * section(z_, -20, 12);
    const float angle = std::abs(std::atan2(std::abs(falx), p.y));
    value = mix(value, sinus, coverage(std::min(wide - depth, 30 * std::min(angle - 0.25f, 1.1f - angle)), edge));
  }
  return mix(value, dura, h.dura_brightness_ * coverage(0.7f - std::abs(depth - 0.5f), edge));
}

float Head::Slice::brain_brightness(Point p, float depth) const {
  const Head& h = head_;
  const float gray = mix(tissue::white, tissue::gray, h.white_contrast_), falx = falx_distance(p), tentorium = tentorium_distance(p);
  const float mottle = h.mottle_ * h.texture_.fractal(p.x / 5, p.y / 5, z_ / 6, 2) + 0.03f * h.folds_.at(p.x / 23, p.y / 23, z_ / 25);
  float value;
  if (tentorium > 0) {  // cerebellum: narrow parallel folia
    const float folia = std::cos(1.7f * length({p.x, p.y - 20}) + 3 * h.folds_.at(p.x / 14, p.y / 14, z_ / 20));
    value = mix(gray, tissue::white, 0.45f + 0.25f * folia) * 0.97f;
    value = mix(value, tissue::fluid, 0.35f * smooth_step(0.75f, 1, folia) * smooth_step(16, 2, depth));
  } else {
    const float to_surface = std::min(depth, mix(depth, std::abs(falx) + 1.5f, falx_presence(p)));
    const float sulcus = std::abs(h.sulci_.line_distance(p.x, p.y, z_));
    // Sulci narrow towards their floor; the cortex lines them and the surface.
    const float open = smooth_step(h.sulcus_depth_, 3, to_surface), fluid = (0.3f + 1.2f * h.atrophy_ * open) * open;
    const float ribbon = std::max(coverage(2.8f + fluid - sulcus, 1.5f) * smooth_step(h.sulcus_depth_ + 3, h.sulcus_depth_ - 4, to_surface),
                                  coverage(3.2f - to_surface, 1.5f));
    value = mix(tissue::white, gray, ribbon);
    if (z_ < 14) {  // thalamus and lentiform nucleus
      const float x = std::abs(falx), level = smooth_step(14, 8, z_) * smooth_step(-18, -10, z_);
      const auto nucleus = [&](float cx, float cy, float rx, float ry) {
        return level * coverage(ry * (1 - length({(x - cx) / rx, (p.y - cy) / ry})), 2.5f);
      };
      value = mix(value, gray, std::max(nucleus(9, 4, 7, 11), nucleus(23, -6, 6, 13)));
    }
    value = mix(value, tissue::fluid, coverage(fluid - sulcus, 1.3f) * open);
    if (z_ < 10) {  // Sylvian fissure
      const float x = std::abs(falx), bow = -10 + 3 * std::sin(x / 6) + z_ * 0.3f;
      const float fissure = (1.2f + 1.0f * h.atrophy_) * section(z_, -8, 20) - segment_distance({x, p.y - bow}, {34, 2}, {62, -3});
      value = mix(value, tissue::fluid, coverage(fissure, edge));
    }
  }
  if (z_ < -12) {  // suprasellar cistern with the carotids
    const float cistern = 9 * section(z_, -26, 14) * (1 + 0.25f * h.folds_.at(p.x / 7, p.y / 7, z_ / 9)) - length({falx, p.y + 12});
    value = mix(value, tissue::fluid, coverage(cistern, 1.5f));
    value = mix(value, tissue::vessel, coverage(1.8f - length({std::abs(falx) - 6, p.y + 15}), edge) * smooth_step(-12, -16, z_));
  }
  const float ventricle = ventricle_distance(p);
  value = mix(value, tissue::fluid * 0.9f, coverage(ventricle, edge));
  // Choroid plexus in the atria, bright and ragged.
  const float plexus = 3.2f * section(z_, 4, 14) - length({std::abs(falx) - 16 - 2 * h.ventricles_, p.y - 25}) +
                       1.2f * h.texture_.at(p.x / 2, p.y / 2, z_ / 3);
  value = mix(value, mix(tissue::gray, tissue::vessel, h.choroid_), coverage(plexus, edge));
  for (const Spot& spot : h.spots_) {
    const float radius = spot.radius * section(z_, spot.z, spot.height);
    if (radius > 0.3f && std::abs(p.x - spot.centre.x) < radius + 2 && std::abs(p.y - spot.centre.y) < radius + 2)
      value = mix(value, spot.brightness, coverage(radius - length(p - spot.centre), edge));
  }
  return value * (1 + mottle);
}

float Head::Slice::brightness(Point p, Point brain_at) const {
  const Head& h = head_;
  const float outside = scalp_depth(p), depth = outside - shell_;
  if (outside < -3) return tissue::air;
  float value = tissue::air;
  if (depth < 3) {
    const float fat = 1.7f + 0.9f * h.folds_.at(p.x / 30, p.y / 30, z_ / 30), fibres = 0.25f * h.texture_.at(p.x / 3, p.y / 3, z_ / 4);
    value = mix(value, fat * (1 + fibres), coverage(outside, edge));
    value = mix(value, tissue::bone, coverage(outside - scalp_, edge));
    const float middle = 0.5f * (scalp_ + shell_), half = 0.22f * (shell_ - scalp_);
    value =
        mix(value, tissue::marrow * (0.8f + 0.5f * h.folds_.at(p.x / 12, p.y / 12, 7)), coverage(half - std::abs(outside - middle), edge));
  }
  if (depth > -1.5f) {
    // The gap between skull and cortex.
    const float source_depth = brain_depth(brain_at), gap = 0.5f + 0.9f * h.atrophy_;
    float inside = mix(tissue::fluid, brain_brightness(brain_at, source_depth), coverage(depth - gap, edge));
    inside = membranes_over(inside, brain_at, depth);
    value = mix(value, inside, coverage(depth, edge));
  }
  return value;
}

}  // namespace dura
