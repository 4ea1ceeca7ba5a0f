#!/bin/bash
# Draws the chapters' pictures from kept runs, and notes which: docs/pictures/SOURCE.
#
#   docs/draw.sh reports/results/MAIN.jsonl reports/results/TRANSFORMER.jsonl
#
# The first gives chapters 1 to 3 their pictures, the second chapter 2 those of memory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
main=${1:?which kept run, reports/results/FILE.jsonl}
transformer=${2:?which kept run of the transformer, with --memory-timeline}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for kept in "$main" "$transformer"; do
  folder=$scratch/$(basename "$kept" .jsonl)
  mkdir "$folder"
  cp "$kept" "$folder/runs.jsonl"
  build/bin/report --in "$folder" >/dev/null
done
cp "$scratch/$(basename "$main" .jsonl)"/charts/{memory,phases,throughput}.svg docs/pictures/
for chart in memory timeline; do
  cp "$scratch/$(basename "$transformer" .jsonl)/charts/$chart.svg" "docs/pictures/transformer_$chart.svg"
done
sha256sum "$main" "$transformer" docs/pictures/*.svg >docs/pictures/SOURCE
