#!/bin/bash
# The GPU's part of the tests and a short benchmark, carried to a machine that has one.
#
#   tests/gpu_check.sh pack FOLDER   programs, tests and images, stripped, out of build/
#   FOLDER/gpu_check.sh run [OUT]    there: everything in at most 8 minutes; figures in OUT
#
# The other machine needs a driver and LibTorch 2.11, whose `lib` folder LOCKSTEP_TORCH_LIB
# names (not needed on the machine that built). Where there is no CUDA device `run` says
# WAIVED and ends well. It leaves OUT/<gpu>-<date>.{txt,jsonl,json} and, of the same
# machine's cores, OUT/<gpu>-<date>-cpu.{jsonl,json}; `report --in` draws them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
max_mib=40

pack() {
  local root=$here/.. folder=$1 images
  if [ -e "$folder" ] && [ ! -e "$folder/gpu_check.sh" ]; then
    echo "gpu_check: $folder holds something else; give another folder" >&2
    return 2
  fi
  rm -rf "$folder"
  mkdir -p "$folder"/{bin,tests,lib,images}
  cp "$root"/build/bin/{single_gpu,data_parallel,ddp,multinode,bench} "$folder/bin/"
  cp "$root"/build/tests/{cuda_module_test,cuda_test,nccl_test,libtorch_test,cuda_training_test} "$folder/tests/"
  cp "$root/build/lib/liblockstep_cuda.so" "$folder/lib/"
  strip "$folder"/bin/* "$folder"/tests/* "$folder"/lib/*
  # What Debian has and another system may not; the C and C++ libraries are everywhere.
  ldd "$folder/bin/bench" | sed -nE 's/.*(libbenchmark|libz)\.so[^ ]* => ([^ ]+) .*/\2/p' |
    xargs -I{} cp -L {} "$folder/lib/"
  # The 10,000 test images, for training as well.
  images=/usr/share/datasets/fashion-mnist
  local kind
  for kind in images-idx3 labels-idx1; do
    cp "$images/t10k-$kind-ubyte.gz" "$folder/images/"
    cp "$images/t10k-$kind-ubyte.gz" "$folder/images/train-$kind-ubyte.gz"
  done
  git -C "$root" describe --always --dirty >"$folder/commit" 2>/dev/null ||
    echo unknown >"$folder/commit"
  cp "$here/gpu_check.sh" "$folder/"
  local mib
  mib=$(du -sm "$folder" | cut -f1)
  echo "packed $mib MiB in $folder"
  [ "$mib" -le $max_mib ] || { echo "gpu_check: more than $max_mib MiB" >&2; return 1; }
}

use_libraries() {
  local torch_lib=${LOCKSTEP_TORCH_LIB:-}
  local path=$here/lib
  if [ -n "$torch_lib" ]; then
    [ -e "$torch_lib/libtorch_cpu.so" ] || {
      echo "gpu_check: LOCKSTEP_TORCH_LIB=$torch_lib holds no libtorch_cpu.so; give LibTorch's lib folder" >&2
      exit 2
    }
    # NCCL and the CUDA runtime lie beside torch where they came in wheels.
    path+=:$torch_lib:$torch_lib/../../nvidia/nccl/lib:$torch_lib/../../nvidia/cu13/lib
  fi
  export LD_LIBRARY_PATH=$path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
}

failed=()
# stage SECONDS NAME COMMAND...: announces, runs, remembers a failure. All seconds: 8 minutes.
stage() {
  printf '\n==> %s\n' "$2"
  timeout "$1" "${@:3}" || failed+=("$2")
}

# measure SECONDS NAME ARGUMENTS...: a benchmark whose rows and JSON are kept under that name.
measure() {
  local folder
  folder=$(mktemp -d)
  stage "$1" "bench ${*:3}" \
    "$here/bin/bench" --no-page --out "$folder" --data-dir "$here/images" "${@:3}"
  [ ! -e "$folder/runs.jsonl" ] || mv "$folder/runs.jsonl" "$out/$2.jsonl"
  [ ! -e "$folder/results.json" ] || mv "$folder/results.json" "$out/$2.json"
  rm -rf "$folder"
}

all_stages() {
  date -u
  nvidia-smi || true
  stage 30 "CUDA module" "$here/tests/cuda_module_test"
  stage 30 "CUDA" "$here/tests/cuda_test"
  stage 30 "NCCL" "$here/tests/nccl_test"
  stage 30 "LibTorch's data_parallel" "$here/tests/libtorch_test"
  stage 120 "Training on CUDA" "$here/tests/cuda_training_test"
  measure 150 "$name" --device cuda --mode dp,ddp --gpus 1 \
    --model mlp,mlp-wide,convnet,resnet18,transformer --repetitions 2
  if [ "$(nvidia-smi --list-gpus | wc -l)" -ge 2 ]; then
    measure 60 "$name-data-parallel" --device cuda --mode dp --gpus 2 --model mlp,convnet \
      --dp-loss primary,replica --peers libtorch --repetitions 2
  else
    echo "WAIVED: gpu-check: DataParallel and its peers on two CUDA devices: there is one"
  fi
  measure 120 "$name-cpu" --device cpu --mode dp,ddp --gpus 1,2,4,8,16 --steps 30 --warmup 5 \
    --repetitions 1
  if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFAILED: %s\n' "${failed[@]}"
    return 1
  fi
  printf '\nAll of the GPU check passed.\n'
}

run() {
  out=${1:-$here/results}
  use_libraries
  LOCKSTEP_COMMIT=$(cat "$here/commit")
  export LOCKSTEP_COMMIT LOCKSTEP_BIN=$here/bin LOCKSTEP_IMAGES=$here/images
  local reason
  if ! reason=$("$here/bin/single_gpu" --device cuda --dataset synthetic --dry-run 2>&1); then
    # A device that is there and does not answer is no reason to wave it through.
    compgen -G '/dev/nvidia[0-9]*' >/dev/null && { echo "gpu_check: $reason" >&2; return 1; }
    echo "WAIVED: gpu-check: $reason"
    return 0
  fi
  mkdir -p "$out"
  name=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1 | tr 'A-Z /' 'a-z--')
  name=$name-$(date -u +%F)
  all_stages 2>&1 | tee "$out/$name.txt"
  return "${PIPESTATUS[0]}"
}

case ${1:-} in
  pack) pack "${2:?FOLDER}" ;;
  run) run "${2:-}" ;;
  *)
    sed -n '2,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
