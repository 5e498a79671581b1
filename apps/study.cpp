// dura-study: what does each measure bring? Trains a ladder of configurations on the same split, one measure more in each row, and makes
// the before/after table. And which of several configurations is best? Trains each in every fold of a cross-validation. Every run is
// dura-train and dura-evaluate in a folder of its own; a study that was stopped goes on where it was.
#include "apps/program/processes.h"
#include "apps/study/ladder.h"
#include "apps/study/search.h"

int main(int argc, char** argv) {
  using namespace dura;
  LadderOptions o;
  SearchOptions s;
  Program program({.name = "dura-study",
                   .summary = "Measures what each measure brings: a ladder of runs from a baseline to the optimised configuration, and the "
                              "before/after table. With --settings: which of several configurations is best, by cross-validation.",
                   .examples = {"dura-study --data brain --classes Menin=meningioma Glioma --weights resnet50.safetensors --out study",
                                "dura-study --data brain --weights resnet50.safetensors --device cuda --out study --full --budget 48",
                                "dura-study --data brain --weights resnet50.safetensors --out search --base configs/mission.toml "
                                "--settings rate1.toml rate2.toml guided.toml --folds 5 --keep 2"},
                   .shares_work = true});
  o.data.declare(program);
  program.heading("Study");
  program.text("--weights", o.weights, "ImageNet weights of the backbone, the same for all runs");
  program.text("--out", o.out, "Folder of the study; what is there already is not run again", {.required = true});
  program.text("--rare-class", o.rare, "The class that the measures are for (default: the first)");
  program.number("--budget", o.budget_hours,
                 "Hours that this call may take: a run that would likely exceed them does not begin, save the first; 0: no limit",
                 {.min = 0});
  program.heading("Ladder");
  program.integer("--depth", o.depth, "ResNet-18, 34, 50 or 101");
  program.list("--rows", o.rows, "Only these rows, by the names of their folders (default: all)");
  program.integer("--size", o.size, "Height and width of the pictures", {.min = 32, .max = 2048});
  program.integer("--phase1-epochs", o.phase1_epochs, "Epochs with the backbone frozen", {.min = 0, .max = 100000});
  program.integer("--phase2-epochs", o.phase2_epochs, "Epochs with its last part free, at most", {.min = 0, .max = 100000});
  program.number("--phase2-lr", o.phase2_lr, "Learning rate of phase 2", {.min = 0});
  program.integer("--seeds", o.seeds, "Seeds of the first and of the last row; the others have one", {.min = 1, .max = 100});
  program.flag("--full", o.full, "The mission's own size: 224 pixels, 5 + 15 epochs");
  program.heading("Search");
  program.list("--settings", s.settings, "Configuration files of dura-train that are compared, each with what it changes in --base");
  program.text("--base", s.base, "Configuration file of dura-train that all of them begin with");
  program.integer("--folds", s.folds, "Parts of the training and validation patients, each the unseen one once", {.min = 3, .max = 100});
  program.integer("--keep", s.keep, "After the first fold only so many settings go on, the best; 0: all", {.min = 0, .max = 1000});
  return program.run(argc, argv, [&] {
    return run_on_all(program, [&](Communicator& ranks) {
      if (s.settings.empty()) return run_ladder(program, o, ranks);
      s.data = o.data, s.weights = o.weights, s.rare = o.rare, s.out = o.out, s.budget_hours = o.budget_hours;
      return search(program, s, ranks);
    });
  });
}
