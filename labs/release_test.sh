#!/bin/bash
# What students get works in an empty folder, with neither the repository nor its build in reach,
# and holds no solution: a planted one is found.
#
#   labs/release_test.sh BUILD [LAB]    LAB: the one that is graded there, 03
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$(cd "$1" && pwd)
lab=${2:-03}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

cd "$scratch"
"$root/labs/release.py" "$build" "$scratch/labs.tar.gz"
tar xzf labs.tar.gz
cd lockstep-labs

for binary in build/bin/* build/labs/lab_*; do
  runpath=$(readelf -d "$binary" | sed -n 's/.*R[UN]*PATH.*\[\(.*\)\]/\1/p')
  # shellcheck disable=SC2016 # the loader's own word
  [ "$runpath" = '$ORIGIN/../torch/lib' ] || fail "$binary looks for libraries in '$runpath'"
done

# Links and pictures lead somewhere.
while IFS= read -r page; do
  while IFS= read -r link; do
    case $link in
      http*) continue ;;
      /*) target=.$link ;;
      *) target=$(dirname "$page")/$link ;;
    esac
    [ -e "${target%%#*}" ] || [ -z "${link%%#*}" ] || fail "$page: $link leads nowhere"
  done < <(grep -oE '\]\([^) ]+\)' "$page" | sed -E 's/^\]\((.*)\)$/\1/' | sort -u)
done < <(find . -name '*.md')

# A student: first the starter as it is, then a file that solves it. The repository is hidden where
# we may hide it; an environment of one's own is all that is handed down.
cp "$root/labs/solutions/${lab}"_*.cpp "$scratch/solved.cpp"
student=(env -i "HOME=$HOME" PATH=/usr/bin:/bin)
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
run "lab $((10#$lab)): 0 of [1-9][0-9]* points" make "lab-$lab"
run "lab $((10#$lab)): ([1-9][0-9]*) of \1 points" make "lab-$lab" SOLUTION="$scratch/solved.cpp"
for left in "$lab.json" "$lab.results.json" index.html; do
  [ -s "build/labs/results/$left" ] || fail "build/labs/results/$left is not there"
done
run "make lab-%" make help
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
patch=$(find "$root/labs/known_bad" -name '*.patch' | sort | head -n 1)
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
