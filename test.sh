#!/usr/bin/env bash
# Builds dura and runs its tests, on a fresh Debian machine too.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: ./test.sh [--slow] [--asan] [-- ARGUMENTS OF CTEST]
  --slow   also the tests labelled slow (always run where CI=true)
  --asan   a build with AddressSanitizer and UndefinedBehaviorSanitizer
example: ./test.sh -- -R golden
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/build.sh
source "$root/scripts/build.sh"

slow=${CI:-false}
preset=cpu build=build cuda=AUTO
while (($# > 0)); do
  case $1 in
    --slow) slow=true ;;
    --asan) preset=asan build=build-asan cuda=OFF ;;
    --help | -h)
      usage
      exit 0
      ;;
    --)
      shift
      break
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  shift
done

ensure_packages
build_dura "$root" "$preset" "$cuda" all
selection=()
if [[ $slow != true ]]; then selection=(--label-exclude slow); fi
say "testing"
# Two at a time: most tests use one thread, and those that use all of them are few.
cd "$root" && ctest --preset "$preset" --parallel 2 --no-tests=error "${selection[@]}" "$@"
# What the table of operations covered, by kind; what was skipped says why.
"$root/$build/tests/dura_tests" '[ops]' | grep '^ops:'
