#include "data/set/augment_policy.h"

#include <set>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {
namespace {

struct Parameter {
  const char* name;
  double AugmentPolicy::*low;
  double AugmentPolicy::*high;  // null where it is no range
  double least, most;
  const char* expected;
};
constexpr const char* a_probability = "a probability from 0 to 1";
constexpr const char* a_range = "LOW:HIGH as in 0.8:1.2, or a number D for 1-D to 1+D";
using P = AugmentPolicy;
constexpr Parameter parameters[] = {
    {"rotation", &P::rotation, nullptr, 0, 180, "degrees from 0 to 180"},
    {"hflip", &P::horizontal_flip, nullptr, 0, 1, a_probability},
    {"vflip", &P::vertical_flip, nullptr, 0, 1, a_probability},
    {"shift", &P::shift, nullptr, 0, 1, "a share of the side from 0 to 1"},
    {"zoom", &P::zoom_low, &P::zoom_high, 0.1, 10, a_range},
    {"sharpness", &P::sharpness_low, &P::sharpness_high, 0, 10, a_range},
    {"sharpness_p", &P::sharpness_probability, nullptr, 0, 1, a_probability},
    {"brightness", &P::brightness_low, &P::brightness_high, 0, 10, a_range},
    {"contrast", &P::contrast_low, &P::contrast_high, 0, 10, a_range},
};

std::optional<AugmentPolicy> named_set(const std::string& name) {
  if (name == "none") return AugmentPolicy{};
  if (name == "light") return light_augmentation();
  if (name == "strong") return strong_augmentation();
  return std::nullopt;
}

// False where `text` is no value of this kind.
bool set_parameter(AugmentPolicy& policy, const Parameter& p, const std::string& text) {
  const size_t colon = text.find(':');
  if (p.high && colon != std::string::npos) {
    const std::optional<double> low = parse_number(text.substr(0, colon)), high = parse_number(text.substr(colon + 1));
    if (!low || !high) return false;
    policy.*p.low = *low;
    policy.*p.high = *high;
    return true;
  }
  const std::optional<double> number = parse_number(text);
  if (!number || (p.high && *number < 0)) return false;
  policy.*p.low = p.high ? 1 - *number : *number;
  if (p.high) policy.*p.high = 1 + *number;
  return true;
}

void set_part(AugmentPolicy& policy, const std::string& name, const std::string& value, const std::string& who) {
  if (name == "zoom_axes") {
    if (value != "together" && value != "apart") fail_usage(who, ": zoom_axes is '", value, "', expected together or apart");
    policy.zoom_axes_apart = value == "apart";
    return;
  }
  std::string known;
  for (const Parameter& p : parameters) {
    known += concat(p.name, ", ");
    if (name != p.name) continue;
    if (!set_parameter(policy, p, value)) fail_usage(who, ": ", name, " is '", value, "', expected ", p.expected);
    return;
  }
  fail_usage(who, ": there is no '", name, "'. Expected none, light or strong, then NAME=VALUE with the names ", known, "zoom_axes.");
}

}  // namespace

void AugmentPolicy::check(const std::string& who) const {
  for (const Parameter& p : parameters) {
    for (const double value : {this->*p.low, this->*(p.high ? p.high : p.low)})
      if (!(value >= p.least && value <= p.most))
        fail_usage(who, ": ", p.name, " is ", value, ", it must be from ", p.least, " to ", p.most);
    if (p.high && this->*p.low > this->*p.high)
      fail_usage(who, ": the range of ", p.name, " is reversed, ", this->*p.low, " to ", this->*p.high);
  }
}

AugmentPolicy strong_augmentation() {
  return {.rotation = 20,
          .horizontal_flip = 0.5,
          .vertical_flip = 0.5,
          .zoom_low = 0.8,
          .zoom_high = 1.2,
          .sharpness_low = 1,
          .sharpness_high = 2,
          .sharpness_probability = 0.5};
}

AugmentPolicy light_augmentation() { return {.rotation = 5, .horizontal_flip = 0.5, .zoom_low = 0.95, .zoom_high = 1.05}; }

AugmentPolicy parse_augment_policy(const std::string& text, const AugmentPolicy& base, const std::string& who) {
  AugmentPolicy policy = base;
  std::set<std::string> seen;
  const std::vector<std::string> parts = split_at(text, ',');
  for (const std::string& part : parts) {
    const size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    if (const std::optional<AugmentPolicy> set = named_set(part)) {
      if (&part != &parts.front()) fail_usage(who, ": '", part, "' must stand first, because it sets everything");
      policy = *set;
      continue;
    }
    if (!seen.insert(name).second) fail_usage(who, ": ", name, " is given twice");
    set_part(policy, name, equals == std::string::npos ? "" : part.substr(equals + 1), who);
  }
  policy.check(who);
  return policy;
}

std::string describe(const AugmentPolicy& policy) {
  const AugmentPolicy nothing;
  std::vector<std::string> parts;
  for (const Parameter& p : parameters) {
    const bool same = policy.*p.low == nothing.*p.low && (!p.high || policy.*p.high == nothing.*p.high);
    if (!same) parts.push_back(concat(p.name, "=", shortest(policy.*p.low), p.high ? ":" + shortest(policy.*p.high) : ""));
  }
  if (policy.zoom_axes_apart) parts.push_back("zoom_axes=apart");
  return parts.empty() ? "none" : joined(parts, ",");
}

}  // namespace dura
