#!/bin/bash
# Compiles a student's file and grades it: the terminal says how it behaves, and
# build/labs/results/ holds the grade (NN.json), Gradescope's (NN.results.json) and the page of
# all labs graded so far (index.html).
#
#   labs/grade.sh 05            docs/labs/05_*/*.cpp
#   labs/grade.sh 05 FILE       another file than the student's
#   labs/grade.sh 05 FOLDER     of what was handed in there 05_buckets.cpp or buckets.cpp; if it is
#                               neither, that is told, and earns nothing
#   labs/grade.sh all [FOLDER]  every lab
#
# Needs the graders in build/labs and what the compiler is told, build/labs/flags. Exit status 0:
# graded, whatever the points, also where the file does not compile; else what stands in the way
# is told in one line, and the status is not 0.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
results=build/labs/results
most_errors=20      # lines of the compiler that are shown
compile_seconds=50  # then the file does not compile; a grader takes seconds

give_up() {
  echo "labs: $1" >&2
  exit 2
}

known() {
  local folder
  for folder in docs/labs/[0-9][0-9]_*; do
    basename "$folder" | cut -c1-2
  done | paste -sd ' '
}

# compile FILE OBJECT ERRORS: false where it does not compile.
compile() {
  local status=0 precompiled=()
  [ ! -f build/torch.pch ] || precompiled=(-include-pch build/torch.pch)
  timeout -k 2 $compile_seconds "${CXX:-clang++}" @build/labs/flags "${precompiled[@]}" \
    -fno-color-diagnostics -ferror-limit=5 -shared -o "$2" "$1" 2>"$3" || status=$?
  if [ $status = 124 ]; then
    echo "error: $1 does not compile within $compile_seconds s" >>"$3"
  fi
  return $status
}

# grade_object NN OBJECT | grade_object NN --does-not-compile ERRORS
grade_object() {
  local number=$1 status=0
  shift
  # What stands there is of this run or not at all.
  rm -f $results/"$number".*
  "build/labs/lab_$number" "$@" --json "$results/$number.json" \
    --gradescope "$results/$number.results.json" || status=$?
  [ $status = 0 ] || give_up "the grader of lab $number ended with status $status"
}

page() {
  build/bin/grades $results/index.html $results/[0-9][0-9].json
}

# grade NN [FILE|FOLDER]
grade() {
  local number=$1 file=${2:-} folder name
  folder=$(echo docs/labs/"${number}"_*)
  [ -d "$folder" ] || give_up "there is no lab $number; there are $(known)"
  name=$(basename "$folder")
  [ -n "$file" ] || file=$folder/${name:3}.cpp
  [ -x "build/labs/lab_$number" ] || give_up "build/labs/lab_$number is not there; run make lab-$number"
  [ -f build/labs/flags ] || give_up "build/labs/flags is not there; run make lab-$number"
  mkdir -p $results build/labs/student 2>/dev/null ||
    give_up "cannot make the folders $results and build/labs/student; is build/labs yours to write?"
  local object=build/labs/student/$number.so errors=build/labs/student/$number.errors
  if [ -d "$file" ]; then
    local handed_in=$file
    file=$handed_in/$name.cpp
    [ -f "$file" ] || file=$handed_in/${name:3}.cpp
    if [ ! -f "$file" ]; then
      echo "error: neither $name.cpp nor ${name:3}.cpp is in $handed_in" >"$errors"
      grade_object "$number" --does-not-compile "$errors"
      return
    fi
  fi
  [ -f "$file" ] || give_up "there is no file $file to grade; name one: make lab-$number SOLUTION=FILE"
  if compile "$file" "$object" "$errors"; then
    head -n $most_errors "$errors" >&2 # warnings
    grade_object "$number" "$object"
  else
    echo "$file does not compile:"
    # A file that says nothing of why (the compiler was killed) is told so.
    [ -s "$errors" ] || echo "error: ${CXX:-clang++} ended without a word" >"$errors"
    grade_object "$number" --does-not-compile "$errors"
  fi
}

export OMP_WAIT_POLICY=PASSIVE
[ $# -ge 1 ] || give_up "which lab? make lab-NN; there are $(known)"
if [ "$1" != all ]; then
  grade "$1" "${2:-}"
  page >/dev/null
  echo "the page: $results/index.html"
  exit 0
fi
[ -z "${2:-}" ] || [ -d "$2" ] || give_up "there is no folder $2 to grade; name one: make labs SOLUTION=FOLDER"
for lab in docs/labs/[0-9][0-9]_*; do
  lab=$(basename "$lab")
  grade "${lab:0:2}" "${2:-}"
  echo
done
page
