// The classes of a task: their names in the order that labels, logits and class weights follow. The order is stated once by the user and
// never taken from folders or from the order of rows. A class may have aliases, names of the same class in other people's tables.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace dura {

class ClassNames {
 public:
  ClassNames() = default;
  // Each entry is a name, optionally with aliases: {"Menin=meningioma", "Glioma"}. Case does not matter when a label is looked up.
  // Throws UsageError for fewer than two classes, an empty name, or a name or alias that stands for two classes.
  explicit ClassNames(const std::vector<std::string>& entries);

  int64_t size() const { return static_cast<int64_t>(names_.size()); }
  const std::string& operator[](int64_t i) const { return names_.at(static_cast<size_t>(i)); }
  const std::vector<std::string>& names() const { return names_; }
  std::optional<int32_t> find(const std::string& label) const;
  std::string list() const;  // "Menin, Glioma"

  // One weight per class, in class order, from entries such as "Menin=4"; a class that is not mentioned gets 1.
  // Throws UsageError for an unknown class, one named twice, or a weight that is not a positive number.
  std::vector<double> weights(const std::vector<std::string>& entries) const;

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, int32_t> aliases_;  // in lower case, the names themselves included
};

}  // namespace dura
