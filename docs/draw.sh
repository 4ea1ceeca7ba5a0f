#!/bin/bash
# Draws the chapters' pictures from one kept run, and notes which: docs/pictures/SOURCE.
#
#   docs/draw.sh reports/results/FILE.jsonl
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source=${1:?which kept run, reports/results/FILE.jsonl}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$source" "$scratch/runs.jsonl"
build/bin/report --in "$scratch" >/dev/null
cp "$scratch"/charts/{memory,phases,throughput}.svg docs/pictures/
sha256sum "$source" docs/pictures/*.svg >docs/pictures/SOURCE
