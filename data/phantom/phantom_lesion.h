// The tumour of one phantom patient: where it lies, its border in space and how it looks, for any slice that cuts it.
//
// Meningioma-like: smooth, sharp border; even enhancement; mostly grows from a broad base on the dura (convexity, falx, tentorium), often
// with a tail of thickened dura and a cleft of fluid towards the brain; sometimes lies free in a ventricle, enhances faintly, or holds a
// cyst. Glioma-like: ragged, blurred border; a bright wall of changing thickness around a dark core, or patches, or hardly any enhancement;
// mostly deep in the white matter, but also in the cortex against the dura, beside the falx, the tentorium or a ventricle. Both may have
// oedema and push the brain aside. Place, size and brightness overlap on purpose: only border and inner structure tell them apart.
#pragma once
#include <cstdint>
#include <optional>

#include "data/phantom/phantom_field.h"
#include "data/phantom/phantom_head.h"

namespace dura {

enum class LesionKind : uint8_t { meningioma, glioma };
enum class LesionPlace : uint8_t { convexity, falx, tentorium, ventricle, deep };
const char* place_name(LesionPlace place);

class Lesion {
 public:
  Lesion(uint64_t key, LesionKind kind, const Head& head);

  LesionPlace place() const { return place_; }
  float level() const { return level_; }  // mm, of its centre
  float half_height() const { return height_; }

  class Slice {
   public:
    Slice(const Lesion& lesion, const Head::Slice& head);

    // mm inside the border, about; negative outside. The exact mask is where this is positive. The dural tail and oedema are not inside.
    float inside(Point p) const;
    // Where the brain now at p lay before the tumour grew.
    Point displaced_from(Point p) const;
    // `brightness` of the head at p, with the lesion and what surrounds it.
    float paint(float brightness, Point p) const;

   private:
    float height_over_dura(Point p) const;
    float paint_meningioma(float value, Point p, float depth) const;
    float paint_glioma(float value, Point p, float depth) const;

    const Lesion& lesion_;
    const Head::Slice& head_;
    Point centre_, across_;  // across_: unit vector along the dura, or the longer axis
    float dz_;
  };

 private:
  enum class Look : uint8_t { even, cystic, ring, patchy, faint };
  void choose_place(uint64_t key, const Head& head);

  LesionKind kind_;
  LesionPlace place_ = LesionPlace::deep;
  Look look_ = Look::even;
  NoiseField border_, inner_;
  Point centre_{};
  float level_ = 0, side_ = 1, turn_ = 0, size_, height_;
  float long_axis_, short_axis_, seat_ = 0, roughness_, lobes_, softness_, brightness_, core_, wall_, push_, oedema_, oedema_width_, tail_,
                                 tail_length_, cleft_;
  Point pocket_{};
  float pocket_radius_ = 0, speck_ = 0;
};

}  // namespace dura
