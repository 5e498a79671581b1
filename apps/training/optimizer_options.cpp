#include "apps/training/optimizer_options.h"

namespace dura {

void OptimizerOptions::declare(Program& program) {
  program.text("--class-weight-norm", class_weight_norm,
               "Weighted loss divided by the batch size (Keras) or by the sum of weights (PyTorch)", {.choices = {"batch", "weights"}});
  program.number("--label-smoothing", label_smoothing, "Share of the target that is spread over all classes, 0.1 is usual; 0: none",
                 {.min = 0, .max = 0.99});
  program.number("--adam-eps", eps, "Adam's epsilon", {.min = 0, .above_min = true});
  program.number("--clip-norm", clip_norm, "Gradients that are longer, all together, are shortened to this norm; 0: never", {.min = 0});
  program.number("--weight-decay", weight_decay,
                 "AdamW: filters and dense weights also shrink by this share of themselves times the learning rate; 0.01 is usual",
                 {.min = 0});
  program.text("--adam-eps-form", eps_form, "Where epsilon is added", {.choices = {"keras", "torch"}});
}

CrossEntropyOptions OptimizerOptions::cross_entropy() const {
  return {.norm = class_weight_norm == "batch" ? ClassWeightNorm::sum_over_batch : ClassWeightNorm::sum_of_weights,
          .label_smoothing = label_smoothing};
}

AdamOptions OptimizerOptions::adam() const {
  return {.eps = eps,
          .eps_form = eps_form == "keras" ? AdamEpsForm::keras : AdamEpsForm::torch,
          .clip_norm = clip_norm,
          .weight_decay = weight_decay};
}

}  // namespace dura
