#include "data/phantom/phantom_lesion.h"

#include <algorithm>
#include <array>

namespace dura {

namespace {
// How often each place is chosen, in the order of LesionPlace.
constexpr std::array<double, 5> meningioma_places = {0.52, 0.16, 0.12, 0.12, 0.08};
constexpr std::array<double, 5> glioma_places = {0.30, 0.12, 0.08, 0.16, 0.34};

template <size_t count>
size_t pick(Random& random, const std::array<double, count>& shares) {
  double left = random.uniform();
  for (size_t i = 0; i + 1 < count; ++i)
    if ((left -= shares[i]) < 0) return i;
  return count - 1;
}
}  // namespace

const char* place_name(LesionPlace place) {
  constexpr std::array<const char*, 5> names = {"convexity", "falx", "tentorium", "ventricle", "deep"};
  return names[static_cast<size_t>(place)];
}

Lesion::Lesion(uint64_t key, LesionKind kind, const Head& head)
    : kind_(kind), border_(random_key(key, "border")), inner_(random_key(key, "inner")) {
  Random random(random_key(key, "lesion"));
  const bool smooth = kind == LesionKind::meningioma;
  size_ = draw(random, 12, 24) * (smooth ? 1.16f : 1.04f);
  place_ = static_cast<LesionPlace>(pick(random, smooth ? meningioma_places : glioma_places));
  if (smooth) {
    constexpr std::array<Look, 3> looks = {Look::even, Look::cystic, Look::faint};
    look_ = looks[pick(random, std::array{0.89, 0.05, 0.06})];
    long_axis_ = size_ * draw(random, 0.95, 1.2), short_axis_ = size_ * draw(random, 0.75, 1.0);
    roughness_ = 0, lobes_ = draw(random, 0.03, 0.16), softness_ = draw(random, 1.0, 1.6);
    brightness_ = look_ == Look::faint ? draw(random, 1.1, 1.2) : draw(random, 1.2, 1.62);
    core_ = draw(random, 0.3, 0.6), wall_ = 0;
    seat_ = short_axis_ * draw(random, 0.3, 0.75);
  } else {
    constexpr std::array<Look, 3> looks = {Look::ring, Look::patchy, Look::faint};
    look_ = looks[pick(random, std::array{0.62, 0.24, 0.14})];
    long_axis_ = size_ * draw(random, 0.95, 1.15), short_axis_ = size_ * draw(random, 0.75, 1.0);
    roughness_ = draw(random, 0.26, 0.48), lobes_ = 0, softness_ = draw(random, 2, 4);
    brightness_ = draw(random, 1.6, 2.3), core_ = draw(random, 0.4, 0.8), wall_ = draw(random, 3.2, 5.5);
    seat_ = size_ * draw(random, 0.5, 1.0);
  }
  height_ = 0.5f * (long_axis_ + short_axis_);
  push_ = draw(random, 0.2, 0.9);
  oedema_ = random.chance(smooth ? 0.6 : 0.75) ? draw(random, 0.1, 0.3) : 0, oedema_width_ = draw(random, 4, 14);
  tail_ = smooth && random.chance(0.7) ? draw(random, 1.5, 3) : 0, tail_length_ = draw(random, 8, 22);
  cleft_ = smooth ? draw(random, 0, 0.7) : 0;
  turn_ = draw(random, 0, pi);
  pocket_ = {draw(random, -0.4, 0.4) * long_axis_, draw(random, -0.3, 0.3) * short_axis_},
  pocket_radius_ = draw(random, 0.25, 0.4) * short_axis_;
  speck_ = random.chance(0.25) ? draw(random, 0.6, 0.8) : 0;
  choose_place(key, head);
}

void Lesion::choose_place(uint64_t key, const Head& head) {
  Random random(random_key(key, "place"));
  const bool smooth = kind_ == LesionKind::meningioma;
  side_ = random.chance(0.5) ? 1.0f : -1.0f;
  switch (place_) {
    case LesionPlace::convexity: {
      level_ = draw(random, -16, 38);
      centre_ = Head::Slice(head, level_).inner_surface(draw(random, 0, 2 * pi), seat_);
      break;
    }
    case LesionPlace::falx: {
      level_ = draw(random, 26, 40);
      centre_ = {side_ * seat_, draw(random, -42, 42)};
      break;
    }
    case LesionPlace::tentorium: {
      level_ = draw(random, -24, -14);
      const float x = draw(random, 14, 34), below = random.chance(0.5) ? seat_ : -seat_;
      centre_ = {side_ * x, 17 + 1.5f * (level_ + 25) + 0.75f * x + below};
      side_ = below > 0 ? 1.0f : -1.0f;
      break;
    }
    case LesionPlace::ventricle: {
      level_ = draw(random, -2, 16);
      centre_ = {side_ * draw(random, 10, 20), draw(random, -20, 28)};
      break;
    }
    case LesionPlace::deep: {
      // Anywhere that leaves brain around it; a few draws find such a place in any head.
      for (int attempt = 0; attempt < 64; ++attempt) {
        level_ = draw(random, -10, 34);
        const float angle = draw(random, 0, 2 * pi), reach = draw(random, 15, 48);
        centre_ = {reach * std::cos(angle), 1.2f * reach * std::sin(angle)};
        const float room = Head::Slice(head, level_).brain_depth(centre_);
        if (room > (smooth ? 1.0f : 0.8f) * size_ && std::abs(centre_.x) > 0.6f * size_) break;
      }
      break;
    }
  }
}

Lesion::Slice::Slice(const Lesion& lesion, const Head::Slice& head)
    : lesion_(lesion), head_(head), centre_(lesion.centre_), dz_(head.z() - lesion.level_) {
  const Point c = centre_;
  switch (lesion.place_) {
    case LesionPlace::convexity: {
      // The head narrows upwards: the lesion keeps its seat on the dura of this level.
      const float angle = std::atan2(c.y, c.x);
      centre_ = head.inner_surface(angle, lesion.seat_);
      across_ = {-std::sin(angle), std::cos(angle)};
      break;
    }
    case LesionPlace::falx:
      across_ = {0, 1};
      break;
    case LesionPlace::tentorium:
      across_ = Point{c.x > 0 ? 0.8f : -0.8f, 0.6f};
      break;
    default:
      across_ = {std::cos(lesion.turn_), std::sin(lesion.turn_)};
  }
}

float Lesion::Slice::height_over_dura(Point p) const {
  const float depth = head_.brain_depth(p);
  switch (lesion_.place_) {
    case LesionPlace::falx:
      return std::min(depth, lesion_.side_ * head_.falx_distance(p));
    case LesionPlace::tentorium:
      return std::min(depth, lesion_.side_ * head_.tentorium_distance(p));
    default:
      return depth;
  }
}

float Lesion::Slice::inside(Point p) const {
  const Lesion& l = lesion_;
  const Point q = p - centre_;
  const float reach = 1.8f * l.long_axis_;
  if (dot(q, q) > reach * reach) return -reach;
  const float u = dot(q, across_) / l.long_axis_, v = dot(q, {-across_.y, across_.x}) / l.short_axis_, w = dz_ / l.height_;
  float radius = std::sqrt(u * u + v * v + w * w);
  if (l.kind_ == LesionKind::meningioma) {
    radius *= 1 + l.lobes_ * l.border_.at(1.3f * u + 3, 1.3f * v + 5, 1.3f * w + 7);
    return std::min((1 - radius) * l.short_axis_, height_over_dura(p));
  }
  radius *= 1 + l.roughness_ * l.border_.fractal(2.1f * u + 3, 2.1f * v + 5, 2.1f * w + 7, 3);
  const float room = l.place_ == LesionPlace::falx ? height_over_dura(p) : head_.brain_depth(p);
  return std::min((1 - radius) * l.short_axis_, room - 1.2f);
}

Point Lesion::Slice::displaced_from(Point p) const {
  const Lesion& l = lesion_;
  const Point q = p - centre_;
  const float distance = length(q), radius = 0.9f * l.size_;
  // Brain that made room for a disc of this radius, decaying outwards and near the skull.
  const float decay = std::exp(-std::max(distance - radius, 0.0f) / 14) * smooth_step(0, 9, head_.brain_depth(p));
  const float before = std::sqrt(std::max(distance * distance - 0.35f * l.push_ * radius * radius * decay, 0.05f * distance * distance));
  return centre_ + q * (distance > 0 ? before / distance : 1.0f);
}

float Lesion::Slice::paint(float brightness, Point p) const {
  const Lesion& l = lesion_;
  const float depth = inside(p);
  if (l.oedema_ > 0 && depth > -30) {
    const float width = l.oedema_width_ * (1 + 0.8f * l.inner_.at(p.x / 11, p.y / 11, head_.z() / 12));
    brightness *= 1 - l.oedema_ * smooth_step(-width - 4, -width + 2, depth) * coverage(head_.brain_depth(p) - 3, 3);
  }
  return l.kind_ == LesionKind::meningioma ? paint_meningioma(brightness, p, depth) : paint_glioma(brightness, p, depth);
}

float Lesion::Slice::paint_meningioma(float value, Point p, float depth) const {
  const Lesion& l = lesion_;
  const bool on_dura = l.place_ <= LesionPlace::tentorium;
  const float height = height_over_dura(p), x = p.x / 4, y = p.y / 4, z = head_.z() / 5;
  float light = l.brightness_ * (1 + 0.045f * l.inner_.fractal(x, y, z, 2));
  const Point q = p - centre_;
  const Point local = {dot(q, across_), dot(q, {-across_.y, across_.x})};
  if (l.look_ == Look::cystic) light = mix(light, l.core_, coverage(l.pocket_radius_ - length(local - l.pocket_), 2));
  if (l.speck_ > 0) light = mix(light, 0.35f, smooth_step(l.speck_, l.speck_ + 0.1f, l.inner_.at(p.x / 2.5f, p.y / 2.5f, z)));
  // The cleft: a thin line of fluid between tumour and brain, not towards the dura.
  value = mix(value, tissue::fluid, l.cleft_ * coverage(1.0f - std::abs(depth + 1.0f), 1.2f) * smooth_step(1, 4, height));
  if (on_dura && l.tail_ > 0 && std::abs(dz_) < 0.9f * l.height_) {
    const float beyond = std::abs(local.x) - 0.8f * l.long_axis_;
    const float thickness = l.tail_ * clamp01(1 - beyond / l.tail_length_);
    if (beyond > -6 && std::abs(local.y) < l.seat_ + 12 && height > -0.8f)
      value = mix(value, l.brightness_, coverage(std::min(thickness - height, height + 0.6f), 1.2f));
  }
  return mix(value, light, coverage(depth, l.softness_));
}

float Lesion::Slice::paint_glioma(float value, Point p, float depth) const {
  const Lesion& l = lesion_;
  const float z = head_.z();
  const float coarse = l.inner_.at(p.x / 7, p.y / 7, z / 8), fine = l.inner_.fractal(p.x / 3.5f + 9, p.y / 3.5f + 4, z / 5, 2);
  const float core = l.core_ * (1 + 0.18f * fine);
  float light;
  switch (l.look_) {
    case Look::ring: {
      const float wall = std::min(l.wall_, 0.42f * l.short_axis_) * (1 + 0.6f * coarse);
      light = mix(core, l.brightness_ * (0.92f + 0.25f * fine), coverage(wall - depth, 1.8f));
      break;
    }
    case Look::patchy:
      light = mix(core, l.brightness_ * (0.9f + 0.25f * fine), smooth_step(-0.28f, 0.12f, coarse + 0.35f * fine));
      break;
    default:
      light = mix(0.72f * (1 + 0.2f * fine), 0.75f * l.brightness_, smooth_step(0.35f, 0.6f, coarse + 0.3f * fine));
  }
  return mix(value, light, coverage(depth, l.softness_));
}

}  // namespace dura
