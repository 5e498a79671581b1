// What people say of a model for its card, as options of every program that makes models (docs/formats.md has the card's entries).
#pragma once
#include <string>
#include <vector>

#include "apps/program/option_set.h"
#include "data/image/preprocess.h"

namespace dura {

inline const std::string card_prefix = "dura.card.";  // of the entries' names

struct CardOptions {
  std::string weights_licence = {};
  std::vector<std::string> limits = {};  // sentences

  void declare(OptionSet& options);
  bool any() const { return !weights_licence.empty() || !limits.empty(); }
  // What every card has: the program that made the model, its weights' licence, and its limits: sentences that are always there, those of
  // --limits, then `more`.
  Entries entries(const std::string& program, const std::vector<std::string>& more = {}) const;
};

}  // namespace dura
