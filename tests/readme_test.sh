#!/bin/bash
# Runs every command of README.md, as a reader would: from the root of a built clone. It works
# in a folder of its own, so that nothing of the reader's own results is touched.
#
# `make` commands are what brought us here; of them only the target's existence is checked.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
for entry in "$root"/*; do
  name=$(basename "$entry")
  [ "$name" = reports ] || ln -s "$entry" "$name"
done
if [ -n "${LOCKSTEP_BIN:-}" ]; then
  rm -f build && mkdir build && ln -s "$LOCKSTEP_BIN" build/bin
fi

# The lines of all ```sh blocks.
commands=$(sed -n '/^```sh$/,/^```$/{/^```/!p}' "$root/README.md")
count=0
while IFS= read -r command; do
  [ -n "$command" ] || continue
  echo "+ $command"
  case "$command" in
    make\ *) grep -q "^${command#make }:" "$root/Makefile" || { echo "no such target"; exit 1; } ;;
    *) bash -euo pipefail -c "$command" </dev/null ;;
  esac
  count=$((count + 1))
done <<<"$commands"

# What the text says is there afterwards.
test "$(wc -l <losses.jsonl)" -eq 50
test -s reports/out/index.html && test -s my-results/index.html
test -s my-results/results.json && test -s my-results/charts/memory.png
if [ "$count" -lt 10 ]; then
  echo "only $count commands found in README.md: has its form changed?"
  exit 1
fi
echo "$count commands of README.md ran"
