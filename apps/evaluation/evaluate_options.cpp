#include "apps/evaluation/evaluate_options.h"

namespace dura {

void EvaluateOptions::declare(OptionSet& options) {
  data.declare(options);
  options.heading("Evaluation");
  options.text("--model", model, "Model written by dura-train", {.required = true});
  options.text("--split", split, "train, val or test", {.choices = {"train", "val", "test"}});
  options.text("--out", out, "Folder for the report", {.required = true});
  options.integer("--batch", batch, "Images at a time", {.min = 1, .max = 4096});
  options.text("--precision", precision, "Type that activations and weights are stored in", {.choices = {"f32", "tf32", "f16", "bf16"}});
  options.flag("--balanced", balanced, "Also score the set balanced by augmented copies of the rare class, labelled as such");
  options.flag("--no-capture", no_capture, "CUDA: start the kernels of each batch one by one instead of replaying captured work");
  options.text("--rare-class", rare, "The class that thresholds and errors are about (default: the one with the fewest training images)");
  options.text(
      "--threshold", threshold,
      "argmax: the most probable class; f1, youden or recall=0.9: the rare class from a probability on that is chosen on validation");
  options.text("--temperature", temperature, "fit: probabilities as sure of themselves as validation says they may be",
               {.choices = {"off", "fit"}});
  options.integer("--tta", views, "Also score the mean over this many views of each picture, itself and light augmentations; 0: not",
                  {.min = 0, .max = 64});
  options.integer("--seed", seed, "For the resamples of the intervals", {.min = 0});
}

}  // namespace dura
