#include "data/set/class_names.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/base/check.h"

namespace dura {
namespace {

std::string to_lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

std::vector<std::string> split_at(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.push_back(trimmed(text.substr(begin, end - begin)));
    if (end == std::string::npos) return parts;
    begin = end + 1;
  }
}

}  // namespace

ClassNames::ClassNames(const std::vector<std::string>& entries) {
  if (entries.size() < 2) fail_usage("at least two classes must be named, ", entries.size(), " given. Example: Menin=meningioma,Glioma");
  for (const std::string& entry : entries) {
    const std::vector<std::string> parts = split_at(entry, '=');
    const int32_t index = static_cast<int32_t>(names_.size());
    for (const std::string& part : parts) {
      if (part.empty()) fail_usage("the class '", entry, "' has an empty name. Write NAME or NAME=ALIAS.");
      const std::optional<int32_t> other = find(part);
      if (other && *other != index) fail_usage("'", part, "' stands for two classes, ", names_[*other], " and ", parts[0]);
      if (!other) aliases_.push_back({to_lower(part), index});
      if (names_.size() == static_cast<size_t>(index)) names_.push_back(part);
    }
  }
}

std::optional<int32_t> ClassNames::find(const std::string& label) const {
  const std::string key = to_lower(trimmed(label));
  const auto it = std::find_if(aliases_.begin(), aliases_.end(), [&](const Alias& a) { return a.lower_case == key; });
  if (it == aliases_.end()) return std::nullopt;
  return it->index;
}

std::string ClassNames::list() const {
  std::string text;
  for (const std::string& name : names_) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<double> ClassNames::weights(const std::vector<std::string>& entries) const {
  std::vector<double> values(names_.size(), 1.0);
  std::vector<bool> given(names_.size(), false);
  for (const std::string& entry : entries) {
    const std::vector<std::string> parts = split_at(entry, '=');
    if (parts.size() != 2) fail_usage("class weight '", entry, "': write CLASS=WEIGHT, for example ", names_[0], "=4");
    const std::optional<int32_t> index = find(parts[0]);
    if (!index) fail_usage("class weight '", entry, "': there is no class '", parts[0], "'. The classes are ", list(), ".");
    if (given[*index]) fail_usage("class weight '", entry, "': ", names_[*index], " has a weight already");
    char* end = nullptr;
    const double value = std::strtod(parts[1].c_str(), &end);
    if (parts[1].empty() || *end != '\0' || !std::isfinite(value) || value <= 0)
      fail_usage("class weight '", entry, "': '", parts[1], "' is not a positive number");
    values[*index] = value;
    given[*index] = true;
  }
  return values;
}

}  // namespace dura
