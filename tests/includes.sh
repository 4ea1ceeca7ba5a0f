#!/bin/bash
# Holds the tree to its plan: which room may include which, how long a file and a room may
# grow, what nothing may be called, where the preprocessor may branch.
#
#   tests/includes.sh [ROOT]
#
# Tests (*_test.cpp) may include any room and do not count as the room's lines; the rest
# applies to them, too.
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

lowest="files registry config host checkpoint model data device comm shm hier fingerprint launch membership training"
beneath="$lowest tracing program" # what the loops' rooms stand on
slow_links="hooks averaging timing logging" # what DDP on slow links stands on
loops="single_gpu data_parallel ddp"
declare -A may_use=(
  [files]=""
  [registry]=""
  [config]="registry"
  [checkpoint]="files device training/observer.h"
  [model]="config"
  [nvml]=""
  [flops]="device"
  [device]=""
  [data]="device"
  [comm]="device host"
  [shm]="comm device"
  [hier]="comm shm device"
  [fingerprint]="comm device"
  [hooks]="comm device registry"
  [averaging]="comm device"
  [logging]="$lowest timing"
  [timing]="comm files"
  [host]=""
  [launch]="device host"
  [membership]="comm device host launch"
  [training]="$lowest nvml flops"
  [tracing]="comm device files training/observer.h"
  [program]="$lowest tracing"
  [emulation]="launch"
  [single_gpu]="$beneath"
  [data_parallel]="$beneath"
  [ddp]="$beneath $slow_links"
  [buckets]="timing files charts reports"
  [multinode]="$beneath $loops"
  [agent]="$lowest"
  [negotiation]="files training/options.h"
  [horovod]="$beneath $loops negotiation"
  [schedules]="config registry"
  [metrics]="$lowest"
  [run_hooks]="$beneath schedules"
  [runner]="$beneath $loops hooks run_hooks schedules metrics horovod"
  [predict]=""
  [rows]=""
  [summary]="rows"
  [charts]="rows"
  [reports]="rows charts"
  [forecast]="$beneath predict cases rows"
  [cases]="$lowest rows emulation"
  [bench]="$beneath nvml $loops multinode horovod predict cases forecast rows summary"
  [collectives]="$beneath cases/machine.h"
  [cells]="files launch rows comm collectives shm/thread_groups.h"
  [grading]="files launch agent/descendants.h"
  [simulator]="comm model predict"
  [gantt]="$beneath ddp predict simulator charts reports"
  [labs]="$beneath $loops predict grading simulator collectives"
)
max_file_lines=299
max_loop_lines=69
max_room_lines=2500
max_room_headers=12
max_branching_files=2

status=0
complain() {
  echo "includes: $*" >&2
  status=1
}

check_includes() {
  local room=$1 file line included target
  for file in "$room"/*.h "$room"/*.cpp "$room"/*/*.{h,cpp}; do
    [[ -f $file && $file != *_test.cpp ]] || continue
    while IFS=: read -r line included; do
      target=${included%%/*}
      [[ -n ${may_use[$target]+known} ]] || continue # not one of our rooms
      if [[ $target != "$room" && " ${may_use[$room]} " != *" $target "* &&
        " ${may_use[$room]} " != *" $included "* ]]; then
        complain "$file:$line: $room may not include $included"
      fi
    done < <(sed -nE '/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]/{=;s/.*[<"]([^>"]*)[>"].*/\1/;p}' "$file" |
      sed 'N;s/\n/:/')
  done
}

# check_room_size ROOM [options of find]
check_room_size() {
  local room=$1 lines headers
  shift
  lines=$(find "$room" "$@" \( -name '*.h' -o -name '*.cpp' \) ! -name '*_test.cpp' -exec cat {} + | wc -l)
  headers=$(find "$room" "$@" -name '*.h' | wc -l)
  [ "$lines" -le $max_room_lines ] || complain "$room has $lines lines; over $max_room_lines is two rooms"
  [ "$headers" -le $max_room_headers ] ||
    complain "$room has $headers headers; over $max_room_headers is two rooms"
}

sources() {
  find . \( -path './build*' -o -path ./.git -o -path ./reports/out -o -name __pycache__ \) -prune -o \
    -type f "$@" -print
}

for room in "${!may_use[@]}"; do
  [ -d "$room" ] || continue
  check_includes "$room"
  [ "$room" = labs ] || check_room_size "$room"
done
# What labs share is a room, and so is each lab's grader.
if [ -d labs ]; then
  check_room_size labs -maxdepth 1
  for room in labs/*/; do
    check_room_size "${room%/}"
  done
fi

while read -r file; do
  lines=$(wc -l <"$file")
  [ "$lines" -le $max_file_lines ] || complain "$file has $lines lines; a file is under 300"
  case $file in
    ./single_gpu/train.cpp | ./data_parallel/train.cpp | ./ddp/train.cpp | ./horovod/train.cpp)
      [ "$lines" -le $max_loop_lines ] || complain "$file has $lines lines; a loop is under 70"
      ;;
  esac
done < <(sources \( -name '*.h' -o -name '*.cpp' -o -name '*.py' -o -name '*.sh' -o -name '*.cmake' \
  -o -name CMakeLists.txt -o -name Makefile \))

while read -r path; do
  complain "$path: nothing is called utils, common, core, helpers or manager"
done < <(find . \( -path './build*' -o -path ./.git -o -path ./reports/out \) -prune -o -print |
  grep -E '/([^/]*_)?(utils?|common|core|helpers?|manager)(\.[^/]*)?$' || true)

while read -r file; do
  grep -q '^#pragma once' "$file" || complain "$file lacks #pragma once"
  if grep -nE '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef)\b' "$file"; then
    complain "$file: a header does not branch"
  fi
done < <(sources -name '*.h')

mapfile -t branching < <(sources -name '*.cpp' |
  xargs -r grep -lE '^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef)\b' || true)
[ ${#branching[@]} -le $max_branching_files ] ||
  complain "more than $max_branching_files files branch by the preprocessor: ${branching[*]}"
for file in "${branching[@]}"; do
  [[ $file != */train.cpp ]] || complain "$file: a loop does not branch by the preprocessor"
done

# Paths that exist on one machine only. The brackets keep this file from finding itself.
if grep -rnIE --exclude-dir=.git --exclude-dir='build*' --exclude-dir=out --exclude-dir=__pycache__ \
  '(^|[^A-Za-z0-9_.}-])/([h]ome|[U]sers|[r]oot|[w]ork|[m]nt|opt/[w]heels)/[A-Za-z0-9_]' .; then
  complain "the lines above name a path of one machine"
fi

exit $status
