// K-fold cross-validation by patient: the training and validation pictures are dealt into K parts that no patient or group divides. Each
// part is the test set of one fold, the next part its validation set, the others its training set. Pictures of the manifest's own test set
// stay out.
#pragma once
#include <cstdint>
#include <vector>

#include "apps/program/program.h"
#include "apps/training/train_options.h"
#include "data/set/manifest.h"

namespace dura {

// The manifests of the folds, differing in their `split` only: train, val, test, or held_out for what is in no part. `rows`: what is dealt
// out. UsageError for fewer than 3 folds, Error where a class has fewer patients than there are folds.
std::vector<Manifest> fold_manifests(const Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes, int64_t folds,
                                     uint64_t seed);

// Trains and scores every fold in a folder of its own, fold1, fold2, ... of the options' `out`, with these options and the fold's manifest;
// what is done already is not done again. Where there are several processes, each makes a fold at a time. Writes folds.json: mean and
// spread of the scores. Returns the program's exit code.
int cross_validate(const Program& program, const TrainOptions& options, Communicator& ranks);

}  // namespace dura
