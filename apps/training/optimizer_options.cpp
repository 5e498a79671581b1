#include "apps/training/optimizer_options.h"

#include "engine/base/check.h"

namespace dura {

void OptimizerOptions::declare(OptionSet& options) {
  options.text("--schedule", schedule,
               "How the learning rate goes in each phase: decay (by --phase2-decay), cosine (to 0, by the step), plateau (smaller where "
               "--monitor no longer improves)",
               {.choices = {"decay", "cosine", "plateau"}});
  options.number("--phase2-decay", phase2_decay, "decay: factor on phase 2's learning rate after each epoch; 1: constant",
                 {.min = 0, .max = 1, .above_min = true});
  options.integer("--warmup-epochs", warmup_epochs, "cosine: epochs of each phase in which the learning rate rises from 0",
                  {.min = 0, .max = 100000});
  options.number("--plateau-factor", plateau_factor, "plateau: factor on the learning rate", {.min = 0, .max = 1, .above_min = true});
  options.integer("--plateau-patience", plateau_patience, "plateau: epochs without improvement before it", {.min = 1, .max = 100000});
  options.text("--class-weight-norm", class_weight_norm,
               "Weighted loss divided by the batch size (Keras) or by the sum of weights (PyTorch)", {.choices = {"batch", "weights"}});
  options.number("--label-smoothing", label_smoothing, "Share of the target that is spread over all classes, 0.1 is usual; 0: none",
                 {.min = 0, .max = 0.99});
  options.number("--adam-eps", eps, "Adam's epsilon", {.min = 0, .above_min = true});
  options.number("--clip-norm", clip_norm, "Gradients that are longer, all together, are shortened to this norm; 0: never", {.min = 0});
  options.number("--weight-decay", weight_decay,
                 "AdamW: filters and dense weights also shrink by this share of themselves times the learning rate; 0.01 is usual",
                 {.min = 0});
  options.text("--adam-eps-form", eps_form, "Where epsilon is added", {.choices = {"keras", "torch"}});
}

CrossEntropyOptions OptimizerOptions::cross_entropy() const {
  return {.norm = class_weight_norm == "batch" ? ClassWeightNorm::sum_over_batch : ClassWeightNorm::sum_of_weights,
          .label_smoothing = label_smoothing};
}

ScheduleOptions OptimizerOptions::schedule_of(double decay, const std::string& monitor) const {
  using Kind = ScheduleOptions::Kind;
  const Kind kind = schedule == "decay" ? Kind::decay : schedule == "cosine" ? Kind::cosine : Kind::plateau;
  if (kind != Kind::decay && phase2_decay != 1) fail_usage("--phase2-decay belongs to --schedule decay, not to ", schedule);
  if (kind != Kind::cosine && warmup_epochs > 0) fail_usage("--warmup-epochs belongs to --schedule cosine, not to ", schedule);
  return {.kind = kind,
          .decay = decay,
          .warmup_epochs = warmup_epochs,
          .plateau_factor = plateau_factor,
          .plateau = {.monitor = monitor, .min_delta = 1e-4, .patience = plateau_patience}};  // the delta of Keras
}

AdamOptions OptimizerOptions::adam() const {
  return {.eps = eps,
          .eps_form = eps_form == "keras" ? AdamEpsForm::keras : AdamEpsForm::torch,
          .clip_norm = clip_norm,
          .weight_decay = weight_decay};
}

}  // namespace dura
