// From brightness to grey levels as a scanner delivers them: blur of the imaging process, uneven coil sensitivity, Rician noise, window.
// Invariant: what a patient's slices share (sensitivity, noise level, window) depends on the patient's key alone; noise on the slice's too.
#pragma once
#include <cstdint>
#include <vector>

#include "data/image/image.h"

namespace dura {

// `brightness` has size*size values, white matter about 1. `slice` tells the noise of one patient's slices apart.
Image scan(const std::vector<float>& brightness, int64_t size, double mm_per_pixel, uint64_t patient_key, uint64_t slice);

}  // namespace dura
