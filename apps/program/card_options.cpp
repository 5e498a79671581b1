#include "apps/program/card_options.h"

#include "apps/program/program.h"
#include "engine/base/text.h"

namespace dura {

void CardOptions::declare(OptionSet& options) {
  options.text("--weights-licence", weights_licence, "Under which terms the weights may be used, for the model's card");
  options.list("--limits", limits, "What the model is not for, sentences for its card beside those that are always there");
}

Entries CardOptions::entries(const std::string& program, const std::vector<std::string>& more) const {
  std::vector<std::string> all = {"Not a medical device; nothing that it says is a diagnosis.",
                                  "Known for pictures like those it was trained on; for others, nobody has tried."};
  all.insert(all.end(), limits.begin(), limits.end());
  all.insert(all.end(), more.begin(), more.end());
  return {{card_prefix + "made_by", program + " " + dura_version()},
          {card_prefix + "weights_licence", weights_licence.empty() ? "not stated" : weights_licence},
          {card_prefix + "limits", joined(all, "\n")}};
}

}  // namespace dura
