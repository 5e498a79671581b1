#!/usr/bin/env bash
# Builds dura and runs its tests, on a fresh Debian machine too.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: ./test.sh [--slow] [--asan] [-- ARGUMENTS OF CTEST]
       ./test.sh --clang | --fuzz | --tsan
  --slow   also the tests labelled slow (always run where CI=true)
  --asan   a build with AddressSanitizer and UndefinedBehaviorSanitizer
  --clang  only compiles everything with Debian's clang, warnings as errors: --fuzz, then what its build has no part of
  --fuzz   only builds the fuzz targets (tests/fuzz), with clang, and runs each for 20 seconds
  --tsan   only builds the C interface with ThreadSanitizer, and uses one model from 24 threads for a minute
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
    --clang | --fuzz)
      debian_packages+=(clang libclang-rt-dev)
      ensure_packages
      build_dura "$root" fuzz OFF fuzz
      say "fuzzing"
      "$root/tests/fuzz/run.sh" "$root/build-fuzz" -max_total_time=20
      if [[ $1 == --clang ]]; then
        configure_dura "$root" clang OFF
        # Objects of programs and tests would wait for libraries, so their commands run without a build, and end behind the front end, which
        # has all of clang's warnings.
        mapfile -t commands < <(sed -n 's/^ *"command": "\(.*\)",*$/\1/p' "$root/build-clang/compile_commands.json" | sed 's/\\\(["\\]\)/\1/g')
        rest=()
        for command in "${commands[@]}"; do
          object=${command##* -o }
          if [[ ! -e $root/build-fuzz/${object%% *} ]]; then rest+=("$command -fsyntax-only"); fi
        done
        say "checking the other ${#rest[@]} of ${#commands[@]} files"
        (cd "$root/build-clang" && printf '%s\n' "${rest[@]}" | xargs -d '\n' -P "$(nproc)" -n 1 bash -c)
      fi
      exit 0
      ;;
    --tsan)
      ensure_packages
      build_dura "$root" tsan OFF c_threads
      say "24 threads on one model"
      TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1" "$root/build-tsan/tests/programs/c_threads" 24 60
      exit 0
      ;;
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

if [[ $slow == true ]]; then debian_packages+=("${slow_debian_packages[@]}"); fi
ensure_packages
build_dura "$root" "$preset" "$cuda" all
selection=()
if [[ $slow != true ]]; then selection=(--label-exclude slow); fi
say "testing"
# Two at a time: most tests use one thread, and those that use all of them are few.
cd "$root"
status=0
ctest --preset "$preset" --parallel 2 --no-tests=error --output-junit "$root/$build/tests.xml" "${selection[@]}" "$@" || status=$?
# By kind: what ran, and what was skipped with the reason.
say "counts"
tests/scripts/count_tests.sh "$build/tests.xml"
if [[ $slow != true ]]; then echo "slow tests: $(ctest --preset "$preset" --show-only --label-regex slow | tail -1 | tr -dc 0-9) not asked for (./test.sh --slow)"; fi
# What the table of operations covered.
"$build/tests/dura_tests" '[ops]' | grep '^ops:'
exit "$status"
