// Catch2 as the tests use it, by the names of version 2 (Debian 12); version 3 (Debian 13) has some of them elsewhere.
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>

namespace Catch {
using Matchers::EndsWith;
using Matchers::StartsWith;
inline auto Contains(const std::string& text) { return Matchers::ContainsSubstring(text); }
using TestEventListenerBase = EventListenerBase;
}  // namespace Catch
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
