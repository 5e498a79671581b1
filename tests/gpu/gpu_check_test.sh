#!/usr/bin/env bash
# Runs gpu_check.sh itself where there is no card: some of its stages on the simulated device, what it does with stages that fail or that
# time does not reach, and what it leaves behind.
# usage: gpu_check_test.sh BUILD_DIR SOURCE_DIR
set -euo pipefail
build=$1 check=$2/tests/gpu/gpu_check.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $*"
  tail -n 20 "$work"/*.out "$work"/*/*.log 2>/dev/null
  exit 1
}
# expect OUT STAGE STATUS [WORDS]: what the stage has left.
expect() {
  local stage status seconds detail
  IFS=$'\t' read -r stage status seconds detail <"$work/$1/$2.status" || fail "stage $2 left no status"
  [[ $stage == "$2" && $status == "$3" && $seconds =~ ^[0-9]+$ && $detail == *"${4:-}"* ]] ||
    fail "stage $2: '$status', '$detail' after $seconds s; expected $3, '${4:-}'"
  grep -q "\"$2\": {\"status\": \"$3\"" "$work/$1/report.json" || fail "the report does not say of $2 that it $3"
}
# run CODE OUT OPTIONS...: the script must end with the code.
run() {
  local expected=$1 out=$2 code=0
  shift 2
  DURA_CUDA_PLANS=off "$check" --out "$work/$out" --built "$build" --python /nonexistent/python "$@" >"$work/$out.out" 2>&1 || code=$?
  ((code == expected)) || fail "gpu_check.sh $* ended with $code, expected $expected"
}

# Stages that work, and those that this machine has nothing for.
run 0 sim --sim --pack "$work/sim.tar.gz" --stages "machine build smoke bench ops torch compiled tuned mission sanitizer"
for stage in machine build smoke bench ops; do expect sim "$stage" passed; done
expect sim torch skipped "has no torch"
expect sim compiled skipped "nothing is compiled for the CPU"
expect sim tuned skipped "no engines to choose from"
expect sim mission skipped "no --data and --weights"
expect sim sanitizer skipped "checks every access itself"
grep -q '"simulated": true' "$work/sim/report.json" || fail "the report does not say that the device was simulated"
(($(grep -c '"ips_med"' "$work/sim/bench.jsonl") >= 2)) || fail "bench.jsonl has no measurements of training and inference"
for fusion in 1 0; do grep -q -e "-- DURA_CUDA_FUSION=$fusion" "$work/sim/smoke.log" || fail "smoke did not run with DURA_CUDA_FUSION=$fusion"; done
[[ $(tar -tzf "$work/sim.tar.gz") == *report.json* ]] || fail "the archive has no report"

# A later call with the same folder keeps what an earlier one left.
run 0 sim --sim --stages machine
expect sim smoke passed

# Programs that are missing fail their stages, and the stages behind run all the same.
mkdir "$work/empty"
run 1 missing --sim --built "$work/empty" --stages "build smoke machine"
expect missing build FAILED "exit code 1"
expect missing smoke FAILED
expect missing machine passed

# A stage that takes longer than is left is ended.
run 1 ended --sim --budget 0 --stages smoke
expect ended smoke FAILED "ended after"

# On a card, stages are not begun that do not fit any more.
run 0 short --budget 100 --stages "tests torch"
expect short tests skipped "no time is left: about 240 s are needed, 100 s are there"
expect short torch skipped "has no torch that sees the card"

# Wrong calls.
for wrong in "--part 5" "--stages nothing" "--limit"; do
  code=0
  # shellcheck disable=SC2086
  "$check" --sim --out "$work/wrong" $wrong >"$work/wrong.out" 2>&1 || code=$?
  ((code == 2)) || fail "gpu_check.sh $wrong ended with $code, expected 2"
done

# What the help says of the parts is what --clock runs.
for part in 1 2 3 4; do
  stages=$("$check" --clock | sed -n "s/^part $part  \([a-z]*\) .*/\1/p" | paste -sd' ')
  grep -qE "(^| )$part $stages([ ,]|$)" <<<"$("$check" --help | tr -s ' ')" || fail "the help does not say that part $part is $stages"
done
echo "gpu_check.sh does what it says, in $SECONDS s"
