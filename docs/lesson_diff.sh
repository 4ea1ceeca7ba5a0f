#!/bin/bash
# Prints what turns one loop into another, and fails when it is more than a lesson may hold:
# the diff between two loops is what this project teaches.
#
#   docs/lesson_diff.sh [ROOT]
#
# Exit status 1: a diff changes more than 12 lines (the larger of added and removed, without
# comments, includes, namespaces and blank lines), a loop has 70 lines or more, or lacks one of
# the five comments that the diff holds on to.
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

pairs=(
  "single_gpu data_parallel"
  "single_gpu ddp"
  "single_gpu horovod"
)
budget=12
max_lines=70
sections=("// 1. Devices." "// 2. Model and optimizer." "// 3. Data." "// 4. Train." "// 5. Report.")

status=0
complain() {
  echo "lesson_diff: $*" >&2
  status=1
}

# The loop as the lesson counts it.
bare() {
  sed -E \
    -e '/^ *#include/d' \
    -e '/^ *(inline )?namespace /d; /^ *using namespace /d; /^} *\/\/ *namespace/d' \
    -e 's|/\*[^*]*\*/||g' \
    -e '/^ *\/\*/,/\*\//d' \
    -e 's,(^|[[:space:]])//.*$,,' \
    -e 's/[[:space:]]+$//; /^$/d' "$1"
}

check_loop() {
  local file=$1/train.cpp
  if [ ! -f "$file" ]; then
    complain "$file is not there"
    return 1
  fi
  local lines
  lines=$(sed -n '$=' "$file")
  [ "${lines:-0}" -lt $max_lines ] || complain "$file has $lines lines; a loop is under $max_lines"
  # All five, in order: what sed prints must be the list itself.
  local found
  found=$(sed -nE 's|^ *(// [1-5]\. .*)$|\1|p' "$file")
  [ "$found" = "$(printf '%s\n' "${sections[@]}")" ] ||
    complain "$file must have these five comments, each once, in order: ${sections[*]}"
}

for pair in "${pairs[@]}"; do
  read -r from to <<<"$pair"
  { check_loop "$from" && check_loop "$to"; } || continue
  echo "== $from/train.cpp -> $to/train.cpp"
  before=$(bare "$from/train.cpp")
  after=$(bare "$to/train.cpp")
  difference=$(diff -U1 <(echo "$before") <(echo "$after") | sed '1,2d; s/^@@.*/@@/') || true
  printf '%s\n' "$difference"
  added=$(sed -n '/^+/p' <<<"$difference" | sed -n '$=')
  removed=$(sed -n '/^-/p' <<<"$difference" | sed -n '$=')
  added=${added:-0} removed=${removed:-0}
  echo "== lines added: $added, removed: $removed (at most $budget)"
  echo
  if [ "$added" -gt $budget ] || [ "$removed" -gt $budget ]; then
    complain "$from -> $to changes more than $budget lines"
  fi
done
exit $status
