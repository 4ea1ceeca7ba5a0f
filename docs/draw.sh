#!/bin/bash
# Draws the chapters' pictures from kept runs, and notes which: docs/pictures/SOURCE.
#
#   docs/draw.sh reports/results/{MAIN,TRANSFORMER,CABLE,FORECASTS,CAPS,buckets/LATE,HOROVOD}.jsonl
#
# The first gives chapters 1 to 3 their pictures, the second chapter 2 those of memory, the third
# chapter 4 and the fourth chapter 5 theirs; the fifth, a sweep of the bucket cap, gives chapter 3 its
# curve and the sixth, bucket times with a late rank, its heat map; the seventh gives chapter 6 the steps of
# mlp and mlp-wide, DDP's and Horovod's. The simulated step needs no run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
main=${1:?which kept run, reports/results/FILE.jsonl}
transformer=${2:?which kept run of the transformer, with --memory-timeline}
cable=${3:?which kept run with --link, with --step-lanes}
forecasts=${4:?which kept run with --predict}
caps=${5:?which kept run with a list of --bucket-cap-mb}
late=${6:?which kept bucket times}
horovod=${7:?which kept run of ddp and horovod, of mlp and mlp-wide, with --step-lanes}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for kept in "${@:1:5}"; do
  folder=$scratch/$(basename "$kept" .jsonl)
  mkdir "$folder"
  cp "$kept" "$folder/runs.jsonl"
  build/bin/report --in "$folder" >/dev/null
done
cp "$scratch/$(basename "$main" .jsonl)"/charts/{memory,phases,throughput}.svg docs/pictures/
for chart in memory timeline; do
  cp "$scratch/$(basename "$transformer" .jsonl)/charts/$chart.svg" "docs/pictures/transformer_$chart.svg"
done
cp "$scratch/$(basename "$cable" .jsonl)/charts/lanes.svg" docs/pictures/cable_lanes.svg
cp "$scratch/$(basename "$forecasts" .jsonl)/charts/predicted.svg" docs/pictures/
cp "$scratch/$(basename "$caps" .jsonl)/charts/caps.svg" docs/pictures/cable_caps.svg
mkdir "$scratch/horovod"
grep '"mode":"\(ddp\|horovod\)"' "$horovod" | grep '"model":"mlp\(-wide\)\?"' >"$scratch/horovod/runs.jsonl"
build/bin/report --in "$scratch/horovod" >/dev/null
cp "$scratch/horovod/charts/lanes.svg" docs/pictures/horovod_lanes.svg
build/bin/buckets "$late" --out "$scratch/late" >/dev/null
cp "$scratch/late/stragglers.svg" docs/pictures/
build/bin/simulate --out "$scratch/simulated" >/dev/null
cp "$scratch/simulated/step.svg" docs/pictures/simulated_step.svg
sha256sum "$@" docs/pictures/*.svg >docs/pictures/SOURCE
