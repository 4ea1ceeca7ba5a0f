#!/bin/bash
# The checks of the tree's structure do find what they are for: each violation, made in a small
# tree of its own, must fail with a line that names it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

loop() {
  printf '// %s\n' "A comment of this file alone: $1."
  printf '#include "%s/train.h"\n' "$1"
  printf 'namespace lockstep::%s {\n' "$1"
  local section=1 name
  for name in Devices "Model and optimizer" Data Train Report; do
    printf '  // %d. %s.\n  step(%d);  // tcp://\n' $section "$name" $section
    section=$((section + 1))
  done
  printf '}  // namespace lockstep::%s\n' "$1"
}

good_tree() {
  rm -rf "${trial:?}/tree"
  mkdir -p "$trial/tree"/{single_gpu,data_parallel,ddp,horovod,model,training,bench,rows,reports}
  cd "$trial/tree"
  local room
  for room in single_gpu data_parallel ddp horovod; do
    loop $room >$room/train.cpp
  done
  printf '#pragma once\n' | tee model/a.h training/b.h rows/row.h reports/page.h >bench/c.h
}

# expect_failure "words of the message" COMMAND...
expect_failure() {
  local output status=0
  output=$("${@:2}" 2>&1) || status=$?
  [ $status -eq 1 ] || fail "status $status, not 1, where '$1' was expected: $output"
  grep -qF -- "$1" <<<"$output" || fail "no '$1' in: $output"
  echo "ok: $1"
}

lesson=("$root/docs/lesson_diff.sh" .)
structure=("$root/tests/includes.sh" .)

good_tree
output=$("${lesson[@]}")
grep -qF 'added: 0, removed: 0' <<<"$output" || fail "comments or includes were counted: $output"
"${structure[@]}"

good_tree
printf 'extra(%d);\n' {1..12} >>ddp/train.cpp
output=$("${lesson[@]}") || fail "12 lines are within the budget"
grep -qF 'added: 12, removed: 0' <<<"$output" || fail "12 lines were not counted: $output"
echo 'extra(13);' >>ddp/train.cpp
expect_failure "single_gpu -> ddp changes more than 12 lines" "${lesson[@]}"

good_tree
printf 'gone(%d);\n' {1..13} >>single_gpu/train.cpp
expect_failure "single_gpu -> data_parallel changes more than 12 lines" "${lesson[@]}"

good_tree
sed -i '/3. Data/d' data_parallel/train.cpp
expect_failure "data_parallel/train.cpp must have these five comments" "${lesson[@]}"

good_tree
printf '// padding\n%.0s' {1..70} >>ddp/train.cpp
expect_failure "a loop is under 70" "${lesson[@]}"
expect_failure "a loop is under 70" "${structure[@]}"

good_tree
rm ddp/train.cpp
expect_failure "ddp/train.cpp is not there" "${lesson[@]}"

good_tree
echo '#include "training/b.h"' >>model/a.h
expect_failure "model/a.h:2: model may not include training/b.h" "${structure[@]}"

good_tree
echo '#include "rows/row.h"' >>bench/c.h
"${structure[@]}"
echo '#include "reports/page.h"' >>bench/c.h
expect_failure "bench may not include reports/page.h" "${structure[@]}"

good_tree
echo '#include <ddp/train.h>' >>data_parallel/train.cpp
expect_failure "data_parallel may not include ddp/train.h" "${structure[@]}"

good_tree
printf 'line;\n%.0s' {1..300} >model/long.cpp
expect_failure "a file is under 300" "${structure[@]}"

good_tree
for i in {1..9}; do printf 'line;\n%.0s' {1..290} >model/part"$i".cpp; done
expect_failure "model has 2611 lines" "${structure[@]}"

good_tree
for i in {1..13}; do echo '#pragma once' >training/part"$i".h; done
expect_failure "training has 14 headers" "${structure[@]}"

good_tree
touch model/string_utils.cpp
expect_failure "string_utils.cpp: nothing is called" "${structure[@]}"

good_tree
printf '#ifdef X\n#endif\n' >>model/a.h
expect_failure "a header does not branch" "${structure[@]}"

good_tree
for i in 1 2; do printf '#ifdef X\n#endif\n' >model/part$i.cpp; done
"${structure[@]}"
printf '#if X\n#endif\n' >model/part3.cpp
expect_failure "more than 2 files branch" "${structure[@]}"

good_tree
printf 'open("/%s/somebody/data");\n' home >model/path.cpp
expect_failure "name a path of one machine" "${structure[@]}"
