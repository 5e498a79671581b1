#!/usr/bin/env bash
# Runs the fuzz targets that were built, two at a time, and fails where one has a finding; the input then lies in BUILD/findings.
set -euo pipefail
if (($# < 2)); then
  cat >&2 <<'TEXT'
usage: tests/fuzz/run.sh BUILD LIMIT [TARGET...]
  BUILD   the folder of the preset fuzz: build-fuzz
  LIMIT   for each target: -max_total_time=SECONDS or -runs=INPUTS
example: tests/fuzz/run.sh build-fuzz -max_total_time=20
TEXT
  exit 2
fi
# Files that a target writes are never kept: in memory they cost nothing.
if [[ -w /dev/shm ]]; then export TMPDIR=/dev/shm; fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$1" && pwd) limit=$2
shift 2
targets=("$@")
if ((${#targets[@]} == 0)); then mapfile -t targets < <(cd "$here" && printf '%s\n' *.cpp | sed 's/\.cpp$//'); fi

# What a target begins with: its corpus, and files of other programs that the tests have anyway.
corpus_of() {
  if [[ -d $here/corpus/$1 ]]; then echo "$here/corpus/$1"; fi
  case $1 in
    jpeg | png) echo "$here/../golden/images" ;;
    pickle) echo "$here/../golden/checkpoints" ;;
    pth | safetensors | zip) echo "$here/../golden/weights" ;;
  esac
}

fuzz() {
  local target=$1 found status=0
  found=$(mktemp -d)
  mkdir -p "$build/findings"
  # shellcheck disable=SC2046
  "$build/tests/fuzz/fuzz_$target" "$limit" -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$build/findings/$target-" \
    "$found" $(corpus_of "$target") >"$build/findings/$target.log" 2>&1 || status=$?
  rm -r "$found"
  if ((status != 0)); then
    echo "fuzz $target: a FINDING (exit $status)"
    tail -60 "$build/findings/$target.log"
    return 1
  fi
  awk -v target="$target" '/ cov: /{for (i = 1; i < NF; ++i) if ($i == "cov:") cov = $(i + 1)} /number_of_executed_units/{runs = $2}
    /average_exec_per_sec/{speed = $2} END{printf "fuzz %s: %d inputs, %d a second, %d places reached, no finding\n", target, runs, speed, cov}' \
    "$build/findings/$target.log"
}

export here build limit
export -f fuzz corpus_of
printf '%s\n' "${targets[@]}" | xargs -P 2 -I {} bash -c 'fuzz {}'
