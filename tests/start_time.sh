#!/bin/bash
# How long from `launch` to the end of the first step of two ranks, beside torchrun with the same
# loop in Python: run in turns, so that a busy machine is busy for both. Fails where the median of
# ours over theirs is above a half.
#
#   tests/start_time.sh [PAIRS]      needs LOCKSTEP_PYTHON, LOCKSTEP_BIN, LOCKSTEP_SOURCE
set -euo pipefail
pairs=${1:-5}

milliseconds() {
  local begin end
  begin=$(date +%s%N)
  "$@" >/dev/null
  end=$(date +%s%N)
  echo $(((end - begin) / 1000000))
}
ours() {
  milliseconds "$LOCKSTEP_BIN/launch" --standalone --nproc-per-node 2 \
    "$LOCKSTEP_BIN/ddp" --device cpu --threads-per-card 1 --model mlp --steps 1 --quiet
}
theirs() {
  milliseconds "$LOCKSTEP_PYTHON" -m torch.distributed.run --standalone --nproc-per-node 2 \
    "$LOCKSTEP_SOURCE/bench/peers/train.py" --model mlp --steps 1 2>/dev/null
}

# Files into the page cache, not into the figures.
ours >/dev/null
theirs >/dev/null
ratios=()
for ((pair = 0; pair < pairs; ++pair)); do
  a=$(ours)
  b=$(theirs)
  ratios+=("$(awk "BEGIN { printf \"%.3f\", $a / $b }")")
  echo "launch and ddp $a ms, torchrun and train.py $b ms: ${ratios[-1]}"
done
mapfile -t ratios < <(printf '%s\n' "${ratios[@]}" | sort -n)
median=${ratios[pairs / 2]}
echo "median $median, from ${ratios[0]} to ${ratios[-1]}; at most 0.5 is asked for"
awk "BEGIN { exit !($median <= 0.5) }"
