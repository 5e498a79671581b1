#include "apps/report/trace_diff.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "engine/base/check.h"

namespace dura {

namespace {

// The value behind "key=" at the beginning of `word`, or null.
const char* value_of(const std::string& word, const std::string& key) {
  return word.compare(0, key.size(), key) == 0 ? word.c_str() + key.size() : nullptr;
}

}  // namespace

std::vector<TraceLine> parse_trace(const std::string& text, const std::string& file) {
  std::vector<TraceLine> lines;
  std::istringstream in(text);
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    std::istringstream words(line);
    std::string direction, op, label, ms, mean, checksum, more;
    TraceLine parsed;
    words >> direction >> op >> label >> parsed.dtype >> parsed.shape >> ms >> mean >> checksum;
    const bool complete = static_cast<bool>(words) && !(words >> more);
    const char* mean_text = value_of(mean, "mean=");
    const char* checksum_text = value_of(checksum, "checksum=");
    DURA_CHECK(complete && value_of(ms, "ms=") && mean_text && checksum_text, file, " line ", number,
               ": not a line of a trace. Give files that --trace wrote; the last line of a run that was killed may be cut off.");
    parsed.op = direction + " " + op + " " + label;
    parsed.mean = std::strtod(mean_text, nullptr);
    parsed.checksum = checksum_text;
    lines.push_back(std::move(parsed));
  }
  DURA_CHECK(!lines.empty(), file, ": is empty. Give a file that --trace wrote.");
  return lines;
}

TraceDiff diff_traces(const std::vector<TraceLine>& a, const std::vector<TraceLine>& b, const TraceTolerance& tolerance) {
  TraceDiff diff;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const TraceLine &x = a[i], &y = b[i];
    if (x.op != y.op || x.shape != y.shape) {
      diff.first_beyond =
          concat("op ", i + 1, " is another one: ", x.op, " ", x.shape, " in the first, ", y.op, " ", y.shape, " in the second");
      return diff;
    }
    ++diff.ops;
    const double difference = std::fabs(x.mean - y.mean), size = std::max(std::fabs(x.mean), std::fabs(y.mean));
    if (x.checksum == y.checksum && x.dtype == y.dtype) {
      ++diff.identical;
    } else if (difference <= tolerance.absolute + tolerance.relative * size || (std::isnan(x.mean) && std::isnan(y.mean))) {
      ++diff.within_tolerance;
    } else {
      diff.first_beyond = concat("op ", i + 1, " ", x.op, " ", x.shape, ": mean ", x.mean, " (", x.dtype, ") in the first, ", y.mean, " (",
                                 y.dtype, ") in the second");
      return diff;
    }
  }
  if (a.size() != b.size())
    diff.first_beyond = concat("the ", a.size() < b.size() ? "first" : "second", " ends after ", diff.ops, " ops, the other goes on with ",
                               (a.size() < b.size() ? b : a)[static_cast<size_t>(diff.ops)].op);
  return diff;
}

}  // namespace dura
