// Synthetic brain slices with a known tumour: the data set that is always there. Everything is a pure function of (seed, patient, slice).
// The classes are "Menin" and "Glioma", in this order (phantom_lesion.h says how they differ, and that place, size, and brightness do not
// tell). Invariant: no patient is in two splits, and a patient's slices show one anatomy and one lesion at different levels.
#pragma once
#include <cstdint>
#include <string>

#include "data/image/image.h"
#include "data/set/manifest.h"
#include "data/phantom/phantom_lesion.h"

namespace dura {

struct PhantomOptions {
  uint64_t seed = 0;
  int64_t patients = 100;
  int64_t slices_per_patient = 3;
  int64_t size = 128;             // pixels along each side, 64..512
  double meningioma_share = 0.2;  // of the patients; exact up to rounding
  double val_share = 0.2;         // of each class's patients
  double test_share = 0.25;       // of each class's patients

  int64_t images() const { return patients * slices_per_patient; }
};

// The picture is this wide whatever its size in pixels, so mm per pixel = phantom_width_mm / size.
inline constexpr double phantom_width_mm = 200;

struct Phantom {
  Image image;  // one channel
  Image mask;   // 255 where the pixel's centre lies in the lesion
  Image brain;  // 255 inside the skull
  LesionKind kind = LesionKind::meningioma;
  LesionPlace place = LesionPlace::deep;
  Split split = Split::train;
  int64_t patient = 0, slice = 0;
  double lesion_mm = 0;  // diameter of the disc that has the mask's area
  double mm_per_pixel = 0;
};

// Throws UsageError where an option is outside of what is stated above, or a class would have no patient in a split that has a share.
void check_options(const PhantomOptions& options);

LesionKind phantom_kind(const PhantomOptions& options, int64_t patient);

// index = patient * slices_per_patient + slice, in [0, options.images()). May be called from several threads.
Phantom make_phantom(const PhantomOptions& options, int64_t index);

// Makes `directory` (and its parents) with images/, masks/, brains/ and manifest.csv. Columns: those of data/set/manifest.h, then
// lesion_mm, place, slice and brain (the file of the brain's mask). Returns the manifest. Pictures are made on num_threads() threads; the
// files do not depend on how many. Existing files of these names are replaced.
Manifest write_phantoms(const PhantomOptions& options, const std::string& directory);

}  // namespace dura
