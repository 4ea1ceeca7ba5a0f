#!/bin/bash
# What `make test` runs after the set-up: every build is made, every stage runs even where one
# before it failed, the release tests last so that their closing line is the last one.
#
#   tests/suite.sh [nightly]    with the tests labelled `nightly`, too
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

failed=()
# stage NAME COMMAND...: announces, runs, remembers a failure.
stage() {
  printf '\n==> %s\n' "$1"
  "${@:2}" || failed+=("$1")
}

# build PRESET FOLDER [arguments of cmake --build]: through the preset, whose environment ccache needs.
build() {
  if [ ! -e "$2/build.ninja" ] || [ CMakePresets.json -nt "$2/build.ninja" ]; then
    cmake --preset "$1" "${configure[@]}" && touch "$2/build.ninja" || return 1
  fi
  cmake --build --preset "$1" "${@:3}"
}
configure=()

# Tests say how many cores they keep busy, counted in halves (cmake/Room.cmake). A half more than
# there are: beside cores that are all busy there is room for a test that waits. The release
# build's are mostly whole programs, which also wait for each other: a core more.
run_tests() {
  local more=1
  [ "$1" != build ] || more=2
  ctest --test-dir "$1" --output-on-failure --no-tests=error -j "$((2 * $(nproc) + more))" "${@:2}"
}

# Random walks are slow under a sanitizer: all 200 of them every night, else a quarter.
nightly=${1:-}
sanitized() {
  build "$1" "build/$1" || return 1
  [ "$nightly" = nightly ] || local -x LOCKSTEP_SEEDS=50
  run_tests "build/$1"
}

# The same wheel found under another path, and without its CUDA libraries. The path is no part
# of this clone, so that ccache may share what was compiled against it (Precompiled.cmake).
without_cuda() {
  local torch elsewhere=${XDG_CACHE_HOME:-$HOME/.cache}/lockstep/elsewhere
  torch=$(sed -n 's/^LOCKSTEP_TORCH_DIR:PATH=//p' build/CMakeCache.txt)
  mkdir -p "$elsewhere" && ln -sfn "$(dirname "$torch")" "$elsewhere/packages" || return 1
  configure=("-DLOCKSTEP_TORCH_DIR=$elsewhere/packages/torch")
  build cpu build/cpu --target program_single_gpu || return 1
  local libraries
  libraries=$(ldd build/cpu/bin/single_gpu) || return 1
  if ! grep -q "$elsewhere/packages/torch/lib/libtorch_cpu.so" <<<"$libraries"; then
    echo "single_gpu does not use LOCKSTEP_TORCH_DIR=$elsewhere/packages/torch" >&2
    return 1
  fi
  # What the program itself asks for, and whatever comes with it; but libtorch_cpu.so has needs
  # of its own (libcudart, for its profiler) that are no choice of ours.
  if readelf -d build/cpu/bin/single_gpu | grep -E 'NEEDED.*(cuda|nccl)' ||
    grep -E 'torch_cuda|c10_cuda|nccl' <<<"$libraries"; then
    echo "single_gpu links CUDA libraries although LOCKSTEP_CUDA is OFF" >&2
    return 1
  fi
  build/cpu/bin/single_gpu --device cpu --dataset synthetic --steps 3
}

stage "Build (release)" build release build
if [ ${#failed[@]} -gt 0 ]; then
  exit 1
fi
stage "AddressSanitizer" sanitized asan
stage "ThreadSanitizer" sanitized tsan
stage "Without CUDA (LOCKSTEP_CUDA=OFF)" without_cuda
if [ "$nightly" = nightly ]; then
  stage "Tests (release, nightly too)" run_tests build
else
  stage "Tests (release)" run_tests build -LE nightly
fi

# A test that cannot run here is green for ctest; it is named here instead of being forgotten.
logs=(build/Testing/Temporary/LastTest.log build/{asan,tsan}/Testing/Temporary/LastTest.log)
waived=$(grep -haE '^WAIVED: ' "${logs[@]}" 2>/dev/null | sort -u)
if [ -n "$waived" ]; then
  printf '\nWaived, not passed:\n%s\n' "$waived"
fi

# Programs of tests, and the cases within them. Tests that vanish are noticed: the least that
# ran, or was waived, is kept in tests/run_count; raise it when you add some.
ran=$(cat "${logs[@]}" 2>/dev/null | grep -acE '^(Test Passed\.|\[       OK \] )')
skipped=$(cat "${logs[@]}" 2>/dev/null | grep -acE '^\[  SKIPPED \] .* \([0-9]+ ms\)$')
least=$(<tests/run_count)
printf '\n%d run, %d waived by name (at least %d before)\n' "$ran" "$skipped" "$least"
if [ $((ran + skipped)) -lt "$least" ]; then
  failed+=("fewer tests ran than before: see tests/run_count")
fi
if [ "$skipped" -gt 0 ] && [ -z "$waived" ]; then
  failed+=("tests were skipped and none says why")
fi
if [ ${#failed[@]} -gt 0 ]; then
  printf '\nFAILED: %s\n' "${failed[@]}" >&2
  exit 1
fi
