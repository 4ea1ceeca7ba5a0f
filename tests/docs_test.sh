#!/bin/bash
# Runs every command of a page, as a reader would: from the root of a built clone; or holds what is
# generated or drawn in the pages to its source. It works in a folder of its own, so that nothing
# of the reader's own results is touched.
#
#   tests/docs_test.sh README.md | docs/1_one_card.md | ... | labs | drawn
#
# `make` commands are what brought us here; of them only the target's existence is checked. `labs` are
# the labs' pages and what a teacher reads; the student is one who solves them.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
for entry in "$root"/*; do
  name=$(basename "$entry")
  case $name in
    reports | work_dirs) ;;
    *) ln -s "$entry" "$name" ;;
  esac
done
if [ -n "${LOCKSTEP_BIN:-}" ]; then
  rm -f build && mkdir -p build/labs && ln -s "$LOCKSTEP_BIN" build/bin
  ln -s "$(dirname "$LOCKSTEP_BIN")/labs/solutions" build/labs/student
fi

# run_commands FILE LEAST: the lines of all its ```sh blocks, of which there are so many.
run_commands() {
  local commands command count=0
  # shellcheck disable=SC2016 # sed's own words
  commands=$(sed -n '/^ *```sh$/,/^ *```$/{/^ *```/!{s/^ *//;p}}' "$1")
  while IFS= read -r command; do
    [ -n "$command" ] || continue
    echo "+ $command"
    case "$command" in
      make\ *)
        read -r _ target _ <<<"$command"
        grep -qE "^($target|${target%%-*}-%):" "$makefile" || { echo "no such target"; exit 1; }
        ;;
      *) bash -euo pipefail -c "$command" </dev/null ;;
    esac
    count=$((count + 1))
  done <<<"$commands"
  echo "$count commands of $(basename "$1") ran"
  if [ "$count" -lt "$2" ]; then
    echo "only $count commands found in $1: has its form changed?"
    exit 1
  fi
}

page=$1
makefile=$root/Makefile
case $page in
  drawn) ;;
  labs)
    for lab in "$root"/docs/labs/README.md "$root"/docs/labs/*/README.md "$root"/docs/teaching.md; do
      run_commands "$lab" 1
    done
    makefile=$root/labs/release/Makefile
    run_commands "$root/labs/release/README.md" 2
    ;;
  README.md) run_commands "$root/$page" 10 ;;
  *) run_commands "$root/$page" 2 ;;
esac

# What the page's text says is there afterwards.
case $page in
  README.md)
    test "$(wc -l <losses.jsonl)" -eq 50
    test -s my-results/index.html && test -s my-results/ddp/index.html
    test -s my-results/results.json && test -s my-results/charts/memory.png
    ;;
  docs/1_*) test -s reports/out/chapter-1/charts/phases.svg ;;
  docs/2_*) test -s reports/out/chapter-2/charts/memory.svg ;;
  docs/3_*) test -s reports/out/chapter-3/charts/throughput.svg ;;
  docs/4_*) test -s reports/out/chapter-4/charts/lanes.svg ;;
  docs/5_*) test -s reports/out/chapter-5/charts/predicted.svg ;;
  docs/6_*) test -s reports/out/chapter-6/charts/lanes.svg ;;
  docs/7_*)
    test -s work_dirs/two/scalars.jsonl && test -d work_dirs/short/checkpoints/best
    said=$(build/bin/train runner/examples/resnet18.toml optim_wrapper.optimizer.momentun=0.5 2>&1) && exit 1
    grep -qxF "$said" "$root/$page" || { echo "the page does not quote: $said"; exit 1; }
    ;;
  labs) test -s reports/out/lab-06/step.svg ;;
esac
[ "$page" = drawn ] || exit 0

# Tables, diffs and quoted code are those of today, pictures those of the kept run.
"$root/docs/generate.py" --check
(cd "$root" && sha256sum --check --quiet docs/pictures/SOURCE)

"$root/tests/links.sh" "$root" "$root"/README.md "$root"/docs/*.md "$root"/docs/labs/README.md \
  "$root"/docs/labs/*/README.md
