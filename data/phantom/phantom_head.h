// The head of one phantom patient: the geometry and brightness of an axial, contrast-enhanced T1 slice at any level, without lesion, blur
// or noise. Millimetres throughout; x to the right of the picture, y down (towards the back of the head), z up from the foramina of Monro.
// Brightness is relative: white matter is 1.
// Invariant: a Head is a function of its key alone, and what it shows changes smoothly with z, so that slices of one patient belong
// together.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "data/phantom/phantom_field.h"

namespace dura {

// Levels a phantom slice can have.
inline constexpr float lowest_level_mm = -26, highest_level_mm = 46;

// Brightness after gadolinium of what has one brightness.
namespace tissue {
inline constexpr float air = 0.02f, bone = 0.14f, marrow = 0.75f, fluid = 0.27f, gray = 0.80f, white = 1.0f, dura_mater = 1.25f,
                       vessel = 2.5f;
}  // namespace tissue

class Head {
 public:
  explicit Head(uint64_t key);

  // One level of the head, prepared for many points.
  class Slice {
   public:
    Slice(const Head& head, float z);

    // mm inside the skull's inner surface along the ray from the centre; negative in the skull and outside.
    float brain_depth(Point p) const { return scalp_depth(p) - shell_; }
    // mm to the right of the falx, which is a little bent.
    float falx_distance(Point p) const;
    // mm below the tentorium: positive in the posterior fossa. Large and negative at levels above it.
    float tentorium_distance(Point p) const;
    // Where the falx is a membrane at this level rather than brain that joins both hemispheres: 0..1.
    float falx_presence(Point p) const;
    float ventricle_distance(Point p) const;  // mm inside a ventricle; negative outside
    // The point of the inner skull in direction `angle` (radians, 0 = right, pi/2 = back), `depth` mm inside it.
    Point inner_surface(float angle, float depth) const;
    float z() const { return z_; }

    // What the scanner would see at p. `brain_at` says where the tissue that lies at p comes from: a lesion pushes the brain aside, but
    // neither skull nor scalp.
    float brightness(Point p, Point brain_at) const;

   private:
    float scalp_depth(Point p) const;
    float brain_brightness(Point p, float depth) const;
    float membranes_over(float value, Point p, float depth) const;

    const Head& head_;
    float z_, shell_, scalp_;
    std::array<float, 257> radius_;  // of the scalp's surface by angle
  };

 private:
  struct Spot {  // vessels and calcifications: bright or dark points anywhere in the brain
    Point centre;
    float z, radius, height, brightness;
  };

  NoiseField texture_, folds_;
  WaveField sulci_;
  float half_width_, half_length_, fullness_, egg_, skull_, scalp_fat_, atrophy_, ventricles_, bend_, sulcus_depth_, white_contrast_,
      choroid_, sinus_, right_sinus_, dura_brightness_, mottle_;
  std::array<float, 8> wobble_;
  std::vector<Spot> spots_;
};

}  // namespace dura
