#!/usr/bin/env bash
# Counts by kind what ctest ran, failed and skipped, and why it skipped: the words that a skipped test printed behind "skipped: ".
# usage: count_tests.sh FILE_OF_CTEST_OUTPUT_JUNIT
set -euo pipefail
awk '
  function kind_of(name) {
    if (name ~ /^our kernels compile/) return "kernels compiled for cards"
    if (name ~ /^cuDNN has a plan/) return "plans asked of cuDNN"
    if (name ~ /cuda-sim|simulated CUDA device|CUDA backend/) return "on the simulated CUDA device"
    return "all other tests"
  }
  /<testcase / {
    name = status = $0
    sub(/.*<testcase name="/, "", name); sub(/" classname=.*/, "", name)
    sub(/.* status="/, "", status); sub(/".*/, "", status)
    kind = kind_of(name)
    if (!(kind in seen)) { seen[kind] = 1; kinds[++count] = kind }
    if (status == "run") ++ran[kind]
    if (status == "fail") { ++ran[kind]; ++failed[kind] }
    reason = "it did not say why"
  }
  /skipped: / && status == "notrun" { reason = $0; sub(/.*skipped: /, "", reason) }
  /<\/testcase>/ && status == "notrun" { ++skipped[kind, reason]; reasons[reason] = 1 }
  END {
    for (i = 1; i <= count; ++i) {
      line = kinds[i] ": " ran[kinds[i]] + 0 " run"
      if (failed[kinds[i]]) line = line " (" failed[kinds[i]] " failed)"
      for (r in reasons) if ((kinds[i], r) in skipped) line = line ", " skipped[kinds[i], r] " skipped (" r ")"
      print line
    }
  }' "$1"
