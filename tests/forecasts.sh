#!/bin/bash
# The step that bench foretells beside the step that it measures: DataParallel on this machine, DDP
# on emulated hosts and slow links. chapter 5's table is made of its rows. As root, 20 minutes, alone.
#
#   tests/forecasts.sh [ROWS]     where the rows go; not given: they are only judged
#
# Fails where the mean error is above 8 %, the worst above 15 %, or fewer than 9 of 10 steps lie
# within their interval.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bench=${LOCKSTEP_BIN:-$root/build/bin}/bench
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
rows=${1:-$scratch/rows.jsonl}

# foretell NAME OPTION...
foretell() {
  "$bench" --predict --gpus 2,4 --threads-per-card 1 --no-page --out "$scratch/$1" "${@:2}"
  cat "$scratch/$1/runs.jsonl" >>"$scratch/all.jsonl"
}
foretell dp-wide --mode dp --model mlp-wide --steps 60 --warmup 10 --repetitions 5
foretell dp-resnet --mode dp --model resnet18 --steps 8 --warmup 2 --repetitions 3
foretell ddp-wide --mode ddp --model mlp-wide --link 100mbit,300mbit,1gbit --steps 8 --warmup 2 --repetitions 3
foretell ddp-resnet --mode ddp --model resnet18 --link 300mbit,1gbit --steps 8 --warmup 2 --repetitions 3

PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/docs python3 - "$scratch/all.jsonl" <<'PYTHON'
import json, statistics, sys

from kept_tables import foretold

rows = [json.loads(line) for line in open(sys.argv[1])]
for row in rows:
    if row["status"] != "ok":
        sys.exit(f"forecasts: {row['name']}: {row['message']}")
cases = foretold(rows)
errors = [abs(error) for _, _, _, error, _ in cases]
held = sum(within for *_, within in cases)
print(
    f"forecasts: {len(errors)} steps, mean error {statistics.mean(errors):.3f}, "
    f"worst {max(errors):.3f}, {held} within their interval"
)
if len(errors) != 14 or statistics.mean(errors) > 0.08 or max(errors) > 0.15 or held < 0.9 * len(errors):
    sys.exit("forecasts: asked for are 14 steps, a mean of 0.08, a worst of 0.15, 9 of 10 within")
PYTHON
[ "$rows" = "$scratch/rows.jsonl" ] || mv "$scratch/all.jsonl" "$rows"
