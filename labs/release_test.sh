#!/bin/bash
# What students get works in an empty folder, with neither the repository nor its build in reach,
# set up and run by the very scripts that docs/teaching.md gives a teacher for Gradescope; and it
# holds no solution: a planted one is found.
#
#   labs/release_test.sh BUILD
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

autograder=$scratch/autograder
mkdir -p "$autograder"/{source,submission,results}
"$root/labs/release.py" "$build" "$autograder/source/lockstep-labs.tar.gz"
awk -v folder="$autograder" '/^```/ { script = ""; if ($0 == "```bash") script = folder (++count == 1 ? "/setup.sh" : "/run_autograder"); next }
  script { print >script }' "$root/docs/teaching.md"
sed -i "s|/autograder|$autograder|g" "$autograder/setup.sh" "$autograder/run_autograder"
cp "$root"/labs/solutions/05_*.cpp "$scratch/solved.cpp"

# The repository is hidden where we may hide it; an environment of one's own is all that is handed
# down, and every package is there.
mkdir "$scratch/bin"
printf '#!/bin/sh\n' >"$scratch/bin/apt-get"
chmod +x "$scratch/bin/apt-get"
student=(env -i "HOME=$HOME" "PATH=$scratch/bin:/usr/bin:/bin")
[ -z "${XDG_CACHE_HOME:-}" ] || student+=("XDG_CACHE_HOME=$XDG_CACHE_HOME")
hidden=()
# shellcheck disable=SC2016 # for the inner shell
hide='for folder in "$1" "$2"; do mount -t tmpfs none "$folder" || exit 9; done; shift 2; "$@"'
if unshare -m true 2>/dev/null; then
  hidden=(unshare -m bash -c "$hide" hide "$build" "$root")
else
  echo "WAIVED: release_test.sh without hiding the repository: mount namespaces are not allowed here"
fi

# run WORDS COMMAND...: a student's command, of whose output these words are a part.
run() {
  local words=$1 output status=0
  shift
  output=$("${hidden[@]}" "${student[@]}" "$@" 2>&1) || status=$?
  [ $status = 0 ] || fail "$* ended with status $status: $output"
  grep -qE -- "$words" <<<"$output" || fail "no '$words' in what $* says: $output"
  echo "ok: $*"
}

# The teacher's machine: nothing handed in, then a file that solves the lab.
graded() {
  rm -f "$autograder/results/results.json"
  run "lab 5: $1 of 15 points" bash "$autograder/run_autograder"
  grep -q "^  \"score\": $1,$" "$autograder/results/results.json" || fail "results.json has not $1 points"
}
run "" bash "$autograder/setup.sh"
graded 0
grep -q "neither 05_buckets.cpp nor buckets.cpp" "$autograder/results/results.json" || fail "it is not told what is missing"
cp "$scratch/solved.cpp" "$autograder/submission/buckets.cpp"
graded 15

# The student's: the starter as it is, what the README tells of, and programs that read or draw what
# must have come along.
cd "$autograder/lockstep-labs"
for binary in build/bin/* build/labs/lab_*; do
  runpath=$(readelf -d "$binary" | sed -n 's/.*R[UN]*PATH.*\[\(.*\)\]/\1/p')
  # shellcheck disable=SC2016 # the loader's own word
  [ "$runpath" = '$ORIGIN/../torch/lib' ] || fail "$binary looks for libraries in '$runpath'"
done
find . -name '*.md' -print0 | xargs -0 "$root/tests/links.sh" .
run "^[|] student [|] 2 [|]" build/bin/simulate --load build/labs/student/05.so --cards 2 --out out/simulated
[ -s out/simulated/step.svg ] || fail "simulate drew no step"
run "lab 5: 0 of 15 points" make lab-05
for left in 05.json 05.results.json index.html; do
  [ -s "build/labs/results/$left" ] || fail "build/labs/results/$left is not there"
done
run "make lab-%" make help
# A folder in which one lab of ten is solved.
run "together 15 of 115 points, 0 of 5 on top" make labs "SOLUTION=$autograder/submission"
cp "$root"/labs/solutions/cells/{4_rank,5_cable_step}.cell "$scratch"
run "^4 of 4 points" build/labs/cell "$scratch"/{4_rank,5_cable_step}.cell
run "samples/s" build/bin/single_gpu --model mlp --dataset synthetic --steps 3
run "report: |index.html" build/bin/bench --mode single --model mlp --dataset synthetic --steps 2 \
  --warmup 1 --repetitions 1 --out out
[ -s out/index.html ] || fail "bench drew no page"

# What must not be there is found, wherever it is put and however it is indented.
found() {
  local words=$1 output status=0
  output=$("$root/labs/leaks.py" "$scratch/planted" "$root" 2>&1) || status=$?
  [ $status = 1 ] || fail "'$words' was planted and not found"
  grep -qF -- "$words" <<<"$output" || fail "no '$words' in: $output"
  echo "ok: found $words"
}
plant() {
  rm -rf "$scratch/planted" && mkdir -p "$scratch/planted/docs"
}
plant
sed -n '/namespace/,$p' "$scratch/solved.cpp" | sed 's/^ */> \t/; s|;$|;  // so|' >"$scratch/planted/docs/page.md"
found "holds three lines of labs/solutions/"
plant
sed 's/ \* /*/' "$root/labs/solutions/cells/5_cable_step.cell" >"$scratch/planted/docs/5.cell"
found "holds the formula of labs/solutions/cells/5_cable_step.cell"
plant
patch=$(find "$root/labs/known_bad" -name '*.patch' | sort | sed -n 1p) # reads to the end, as head does not
cp "$patch" "$scratch/planted/docs/notes.txt"
found "holds the first line of a known-bad solution"
plant
printf '\0\1%s/build\0' "$root" >"$scratch/planted/docs/program"
found "names $root"
plant
mkdir "$scratch/planted/solutions" && touch "$scratch/planted/solutions/empty.cpp"
found "is of a folder that students do not get"
plant
cp "$root"/docs/labs/*/*.cpp "$scratch/planted/docs"
"$root/labs/leaks.py" "$scratch/planted" || fail "starters are no solutions"
