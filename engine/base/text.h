// Text as every room needs it: put together, cut apart, read as numbers and written from them. Reading is strict, the whole text or
// nothing, so that a damaged file or a slip of the keyboard never becomes another number. Nothing here asks the locale.
#pragma once
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace dura {

std::string joined(const std::vector<std::string>& parts, std::string_view separator);
// For a message: the first `most` of them, then "..." where there are more.
std::string first_few(const std::vector<std::string>& parts, std::string_view separator, size_t most);

// At least one part; parts may be empty.
std::vector<std::string> split_at(std::string_view text, char separator);
std::string trimmed(std::string_view text);     // without spaces and tabs at both ends
std::string lower_case(std::string_view text);  // A to Z; other bytes as they are

// The decimal number that the whole of `text` is; nothing for any other text, for what T cannot hold, and for NaN and infinity.
template <class T = double>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if constexpr (std::is_floating_point_v<T>)
    if (!std::isfinite(value)) return std::nullopt;
  return value;
}

std::string shortest(double value);     // the fewest digits that read back as the same number
std::string hex_digits(uint8_t value);  // "0f"

// The same bytes seen as text, and text seen as bytes.
inline std::string_view text_of(std::span<const uint8_t> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline std::span<const uint8_t> bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

}  // namespace dura
