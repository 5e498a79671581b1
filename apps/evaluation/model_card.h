// A model's card: what it was made of, how good it is, and what it is not for. It lies in the model file's metadata, under names that begin
// with "dura.card." (docs/formats.md): dura-train and dura-convert write what they know, dura-evaluate adds
// scores, dura-inspect shows it.
// Invariant: no entry holds a time, a folder, or how many threads there were: the same run gives the same file.
#pragma once
#include <string>

#include "apps/evaluation/split_evaluation.h"
#include "apps/program/data_options.h"
#include "apps/training/train_options.h"
#include "data/image/preprocess.h"

namespace dura {

// What SHA-256 says of a split's pictures: of what `sha256sum` prints about them in the manifest's order, from within the data folder. A
// picture that cannot be read has "unreadable" in the place of its sum.
std::string pictures_sha256(const DataSplits& data, Split split, const std::string& folder);

Entries training_card(const TrainOptions& options, const DataSplits& data);
// The scores of the untouched pictures, under the split's name. `pictures`: pictures_sha256 of the split.
Entries score_card(const SplitEvaluation& evaluation, const std::string& pictures);

// The evaluated model with the scores in its card, as options.card; written beside, synced and renamed. Its tensors are those of the model.
void write_scored_model(const EvaluateOptions& options, const SplitEvaluation& evaluation, const DataSplits& data);
// UsageError where options.card names one of the models, which an evaluation knows by its SHA-256, or where there are several models.
void check_card(const EvaluateOptions& options);

// What people read: the card of a model file with these entries.
std::string model_card_text(const Entries& entries, const std::string& file, const std::string& sha256);

}  // namespace dura
