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

# The peers that are carried run instead of the tree's, and what is compiled beforehand is
# what is timed then.
LOCKSTEP_PEERS=$pack/peers "$pack/bin/bench" --device cpu --mode single --model mlp --dry-run \
  --data-dir "$pack/images" --peers python,python-compile --out "$scratch/none" >"$scratch/said"
grep -q "^single-python/mlp/cards:1 .* $pack/peers/train.py " "$scratch/said"
sed -n 's/^single-python-compile[^ ]* *//p' "$scratch/said" | grep -q "^setpriv .*--compile$"

# What a kernel does to memory that is not its own, and a refused call of ours, but not that a
# library tries something out.
cat >"$scratch/theirs" <<'END'
========= COMPUTE-SANITIZER
========= Program hit cudaErrorNotSupported (error 801) due to "operation not supported" on CUDA API call to cudaMemPoolSetAttribute.
=========     Saved host backtrace up to driver entry point at error
=========         Host Frame:  [0x3b6c2d] in libcuda.so.1
=========         Host Frame: cudaMemPoolSetAttribute [0x5a1bd] in libcudart.so.13
=========         Host Frame: at::cuda::init() [0x1234] in libtorch_cuda.so
=========         Host Frame: main in main.cpp:12 [0x99] in single_gpu
=========
========= ERROR SUMMARY: 1 error
END
"$pack/gpu_check.sh" findings "$scratch/theirs"
sed 's/Host Frame: at::cuda::init() \[0x1234\] in libtorch_cuda.so/Host Frame: lockstep_copy [0x1] in liblockstep_cuda.so/' \
  "$scratch/theirs" >"$scratch/ours"
cat >"$scratch/kernel" <<'END'
========= Invalid __global__ read of size 4 bytes
=========     at gemm(float *)+0x160
=========     by thread (0,0,0) in block (0,0,0)
=========     Saved host backtrace up to driver entry point at kernel launch time
=========     Host Frame: [0x29b42f]
=========                in /usr/lib/x86_64-linux-gnu/libcuda.so.1
=========     Host Frame: at::mm [0xbccb]
=========                in /opt/torch/lib/libtorch_cuda.so
========= ERROR SUMMARY: 1 error
END
for log in ours kernel; do
  if "$pack/gpu_check.sh" findings "$scratch/$log" >"$scratch/said"; then
    echo "compute-sanitizer's finding was passed over: $log" >&2
    exit 1
  fi
  test "$(grep -c '^OURS: ' "$scratch/said")" -eq 1
done

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
