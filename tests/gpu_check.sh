#!/bin/bash
# The GPU's part of the tests and its figures, carried to a machine that has one.
#
#   tests/gpu_check.sh pack FOLDER   programs, tests, peers and images, stripped, out of build/
#   FOLDER/gpu_check.sh run [OUT]    there: everything in at most 8 minutes; figures in OUT
#   FOLDER/gpu_check.sh cores [OUT]  there, on its own: the sweep of emulated cards on its cores
#   FOLDER/gpu_check.sh findings LOG what compute-sanitizer says of our code; fails if anything
#
# The other machine needs a driver and LibTorch 2.11, whose `lib` folder LOCKSTEP_TORCH_LIB
# names, or a python3 that has torch (needless on the machine that built). The Python peers
# run by LOCKSTEP_PYTHON, or that python3; without either they are WAIVED. Where there is no
# CUDA device `run` says WAIVED and ends well. It leaves OUT/<gpu>-<date>.txt and of each
# benchmark OUT/<gpu>-<date>-<what>.jsonl; `report --in` draws them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
max_mib=40
seconds=480

pack() {
  local root=$here/.. folder=$1 images
  if [ -e "$folder" ] && [ ! -e "$folder/gpu_check.sh" ]; then
    echo "gpu_check: $folder holds something else; give another folder" >&2
    return 2
  fi
  rm -rf "$folder"
  mkdir -p "$folder"/{bin,tests,lib,images,peers}
  cp "$root"/build/bin/{single_gpu,data_parallel,ddp,multinode,bench} "$folder/bin/"
  cp "$root"/build/tests/{cuda_module_test,cuda_test,nccl_test,libtorch_test} \
    "$root"/build/tests/cuda_{training,report}_test "$folder/tests/"
  cp "$root/build/lib/liblockstep_cuda.so" "$folder/lib/"
  strip "$folder"/bin/* "$folder"/tests/* "$folder"/lib/*
  cp "$root"/bench/peers/*.py "$folder/peers/"
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
  local path=$here/lib python torch_lib=${LOCKSTEP_TORCH_LIB:-}
  # The folder of that python3's torch, without loading it.
  python=$(command -v "${LOCKSTEP_PYTHON:-python3}" || true)
  local torch=''
  [ -z "$python" ] || torch=$("$python" -c 'import importlib.util as u, os
print(os.path.dirname(u.find_spec("torch").origin))' 2>/dev/null) || torch=''
  [ -z "$torch" ] || export LOCKSTEP_PYTHON=$python
  if [ -z "$torch_lib" ] && ldd "$here/bin/single_gpu" | grep -q 'libtorch_cpu.so => not found'; then
    torch_lib=${torch:+$torch/lib}
  fi
  if [ -n "$torch_lib" ]; then
    [ -e "$torch_lib/libtorch_cpu.so" ] || {
      echo "gpu_check: LOCKSTEP_TORCH_LIB=$torch_lib holds no libtorch_cpu.so; give LibTorch's lib folder" >&2
      exit 2
    }
    # NCCL and the CUDA runtime lie beside torch where they came in wheels.
    path+=:$torch_lib:$torch_lib/../../nvidia/nccl/lib:$torch_lib/../../nvidia/cu13/lib
  fi
  export LD_LIBRARY_PATH=$path${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  LOCKSTEP_COMMIT=$(cat "$here/commit")
  export LOCKSTEP_COMMIT LOCKSTEP_BIN=$here/bin LOCKSTEP_IMAGES=$here/images LOCKSTEP_PEERS=$here/peers
}

failed=()
# What is left of the whole: no stage takes the time of those that are to come.
limited() { # SECONDS COMMAND...
  local left=$((seconds - SECONDS))
  [ "$left" -gt 0 ] || return 124
  timeout "$(($1 < left ? $1 : left))" "${@:2}"
}
# stage SECONDS NAME COMMAND...: announces, runs, remembers a failure.
stage() {
  printf '\n==> %s\n' "$2"
  limited "$1" "${@:3}" || failed+=("$2")
}

# together SECONDS: what was announced by `beside`, all at once; what each said comes when it
# has ended, and how long it took.
names=() commands=()
beside() { # NAME WORDS...
  names+=("$1")
  commands+=("$(printf '%q ' "${@:2}")")
}
together() {
  local i status folder pids=()
  folder=$(mktemp -d)
  for i in "${!names[@]}"; do
    (
      status=0
      begin=$SECONDS
      eval "limited $1 ${commands[i]}" >"$folder/$i" 2>&1 || status=$?
      echo "(status $status after $((SECONDS - begin)) s)" >>"$folder/$i"
      exit "$status"
    ) &
    pids+=($!)
  done
  for i in "${!names[@]}"; do
    status=0
    wait "${pids[i]}" || status=$?
    printf '\n==> %s\n' "${names[i]}"
    cat "$folder/$i"
    [ "$status" -eq 0 ] || failed+=("${names[i]}")
  done
  rm -rf "$folder"
  names=() commands=()
}

# measure SECONDS NAME ARGUMENTS...: a benchmark whose rows are kept under that name.
measure() {
  local folder
  folder=$(mktemp -d)
  stage "$1" "bench ${*:3}" \
    "$here/bin/bench" --no-page --out "$folder" --data-dir "$here/images" "${@:3}"
  [ ! -e "$folder/runs.jsonl" ] || mv "$folder/runs.jsonl" "$out/$2.jsonl"
  rm -rf "$folder"
}

# What compute-sanitizer reports of our code: whatever a kernel does to memory that is not its
# own (we have no kernels: it was handed by us), and refused calls of CUDA whose caller is ours.
# That libraries try out what a card can do is theirs.
findings() {
  awk '
    function judge(  i, line, nearest) {
      if (block == "") return
      nearest = ""
      for (i = 1; i <= frames && nearest == ""; ++i) {
        line = frame[i]
        if (line !~ /lib(cuda|cudart|nvidia|sanitizer)[^\/ ]*\.so/) nearest = line
      }
      if (block ~ /^(Invalid|Misaligned|Malloc|Fatal|Race|Barrier|Uninitialized)/ ||
          nearest ~ /lockstep|single_gpu|data_parallel|\/ddp|in ddp/) {
        print "OURS: " block; print "      " nearest; found = 1
      }
      block = ""
    }
    # One frame is a line, or two: its place, and the library it is in.
    /^=+ +Host Frame:/ { frame[++frames] = $0; next }
    /^=+ +in / { if (frames > 0) frame[frames] = frame[frames] $0; next }
    /^========= +(Invalid|Misaligned|Malloc|Fatal|Race|Barrier|Uninitialized|Program hit)/ {
      judge(); block = $0; sub(/^=+ +/, "", block); frames = 0
    }
    END { judge(); exit found }
  ' "$1"
}

# sanitize PROGRAM ARGUMENTS...: a short run under memcheck, long enough for a step to be recorded
# and replayed; fails where it finds anything.
sanitize() {
  local log status=0
  log=$(mktemp)
  compute-sanitizer --tool memcheck --target-processes all "$here/bin/$1" --device cuda \
    --model mlp --dataset synthetic --batch-size 16 --steps 6 --quiet "${@:2}" >"$log" 2>&1 ||
    status=$?
  if grep -q 'Device not supported' "$log"; then
    echo "WAIVED: gpu-check: memcheck $*: compute-sanitizer: Device not supported"
    status=0
  else
    grep -E 'ERROR SUMMARY|^[^=]' "$log" | tail -20 || true
    findings "$log" || status=1
  fi
  rm -f "$log"
  return $status
}

# Nothing here is timed, so all of it runs at once; the tests of training, which wait for
# the CPU's losses, in four parts.
# And the networks of the timed runs are compiled, into the folder where those look: the lines
# of a dry run.
check_correctness() { # SECONDS DRY_RUN
  local part line
  beside "CUDA module" "$here/tests/cuda_module_test"
  beside "CUDA" "$here/tests/cuda_test"
  beside "NCCL" "$here/tests/nccl_test"
  beside "LibTorch's data_parallel" "$here/tests/libtorch_test"
  beside "Reports of CUDA runs" "$here/tests/cuda_report_test"
  for part in 0 1 2 3; do
    beside "Training on CUDA, part $part" env GTEST_TOTAL_SHARDS=4 GTEST_SHARD_INDEX=$part \
      "$here/tests/cuda_training_test"
  done
  if command -v compute-sanitizer >/dev/null; then
    beside "memcheck single_gpu" "$here/gpu_check.sh" sanitize single_gpu
    beside "memcheck single_gpu --cuda-graph" "$here/gpu_check.sh" sanitize single_gpu --cuda-graph
    beside "memcheck data_parallel" "$here/gpu_check.sh" sanitize data_parallel
    beside "memcheck ddp" "$here/gpu_check.sh" sanitize ddp --backend nccl --ranks-per-gpu 2
  else
    echo "WAIVED: gpu-check: compute-sanitizer: it is not on the PATH"
  fi
  while read -r line; do
    names+=("torch.compile, untimed")
    commands+=("$line --steps 3 --metrics-file /dev/null")
  done < <(sed -n 's/^single-python-compile[^ ]* *//p' <<<"$2")
  together "$1"
}

# The seconds of one device's stages are 480 in all: 180, 75, 120, 55, 50.
all_stages() {
  local peers=() compiled=() devices plan
  local graph=(--device cuda --mode single --batch-size 64 --cuda-graph --num-workers 1
    --pin-memory --steps 200 --repetitions 2)
  devices=$(nvidia-smi --list-gpus | wc -l)
  date -u
  nvidia-smi || true
  if plan=$("$here/bin/bench" "${graph[@]}" --model mlp,convnet --peers python,python-compile \
    --dry-run --data-dir "$here/images" --out "$out" 2>&1); then
    peers=(--peers python) compiled=(--peers "python,python-compile")
  else
    echo "WAIVED: gpu-check: the Python peers: $(tail -1 <<<"$plan")"
    plan=''
  fi
  check_correctness 180 "$plan"
  measure 75 "$name-mlp" "${graph[@]}" --model mlp "${compiled[@]}"
  measure 120 "$name-convnet" "${graph[@]}" --model convnet "${compiled[@]}"
  measure 55 "$name-resnet18" --device cuda --mode single --model resnet18 --batch-size 256 \
    --precision bf16 --channels-last --cudnn-benchmark --cuda-graph --num-workers 2 --pin-memory \
    --steps 30 --warmup 8 --repetitions 2 "${peers[@]}"
  measure 50 "$name-ddp" --device cuda --mode ddp --gpus 1,2 --ranks-per-gpu 2 --model mlp-wide \
    --steps 50 --repetitions 1 "${peers[@]}"
  if [ "$devices" -ge 2 ]; then
    measure 60 "$name-data-parallel" --device cuda --mode dp --gpus 2 --model mlp,convnet \
      --dp-loss primary,replica --peers libtorch --repetitions 2
  else
    echo "WAIVED: gpu-check: DataParallel and its peers on two CUDA devices: there is one"
  fi
  echo "$SECONDS s of $seconds"
  if [ ${#failed[@]} -gt 0 ]; then
    printf '\nFAILED: %s\n' "${failed[@]}"
    return 1
  fi
  printf '\nAll of the GPU check passed.\n'
}

run() {
  out=${1:-$here/results}
  SECONDS=0
  use_libraries
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

# Of a machine with more cores than the one that built.
cores() {
  out=${1:-$here/results}
  SECONDS=0
  use_libraries
  mkdir -p "$out"
  measure $seconds "$(nproc)-cores-$(date -u +%F)" --device cpu --mode dp,ddp \
    --gpus 1,2,4,8,16 --steps 30 --warmup 5 --repetitions 1 "${@:2}"
  [ ${#failed[@]} -eq 0 ]
}

case ${1:-} in
  pack) pack "${2:?FOLDER}" ;;
  run) run "${2:-}" ;;
  cores) cores "${@:2}" ;;
  findings) findings "${2:?LOG}" ;;
  sanitize) sanitize "${@:2}" ;; # a stage of `run`
  *)
    sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
