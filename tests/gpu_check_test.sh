#!/bin/bash
# The package of `make gpu-check`: small enough to be carried, nothing missing that LibTorch
# does not bring, its programs train with its images; and without a CUDA device it says so.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
pack=$scratch/pack
"$here/gpu_check.sh" pack "$pack"

for file in "$pack"/bin/* "$pack"/tests/* "$pack"/lib/liblockstep_cuda.so; do
  if ldd "$file" | grep 'not found'; then
    echo "$file misses the libraries above" >&2
    exit 1
  fi
done
"$pack/bin/single_gpu" --device cpu --data-dir "$pack/images" --steps 3 --eval |
  tee "$scratch/said"
grep -q 'of 10000' "$scratch/said"

# With a device the check itself takes minutes: `make gpu-check` is for that.
if ! compgen -G '/dev/nvidia[0-9]*' >/dev/null; then
  "$pack/gpu_check.sh" run "$scratch/results" | tee "$scratch/said"
  test "$(wc -l <"$scratch/said")" -eq 1
  grep -q '^WAIVED: gpu-check: single_gpu: --device cuda' "$scratch/said"
  test ! -e "$scratch/results"
fi

mkdir "$scratch/precious"
if "$here/gpu_check.sh" pack "$scratch/precious" 2>/dev/null || [ ! -d "$scratch/precious" ]; then
  echo "a folder of something else was taken" >&2
  exit 1
fi

if LOCKSTEP_TORCH_LIB=$scratch "$pack/gpu_check.sh" run 2>"$scratch/said"; then
  echo "a wrong LOCKSTEP_TORCH_LIB was taken" >&2
  exit 1
fi
grep -q 'libtorch_cpu.so' "$scratch/said"
