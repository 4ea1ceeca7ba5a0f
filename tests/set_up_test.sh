#!/bin/bash
# The set-up in a world of its own: stubs stand for the package manager, an empty list for the
# wheels, so that nothing is downloaded and nothing on this machine changes.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
trial=$(mktemp -d)
trap 'rm -rf "$trial"' EXIT

fail() {
  echo "FAILED: $*" >&2
  sed 's/^/  | /' "$trial"/output* >&2
  exit 1
}

mkdir -p "$trial/clone/cmake" "$trial/stubs"
cp "$root/cmake/setup.sh" "$trial/clone/cmake/"
echo '# no wheels' | tee "$trial/clone/requirements.txt" >"$trial/clone/requirements-test.txt"
export XDG_CACHE_HOME=$trial/cache PATH=$trial/stubs:$PATH
setup=$trial/clone/cmake/setup.sh
environment=$XDG_CACHE_HOME/lockstep/env-$(sha256sum <"$trial/clone/requirements.txt" | cut -c1-16)

stub() {
  printf '#!/bin/bash\n%s\n' "$2" >"$trial/stubs/$1"
  chmod +x "$trial/stubs/$1"
}
# Answers for every package but those in $ABSENT.
# shellcheck disable=SC2016
stub dpkg-query 'for p in "${@:4}"; do [[ " ${ABSENT:-} " == *" $p "* ]] || echo "$p installed"; done'
# shellcheck disable=SC2016
stub apt-get 'echo "apt-get $*" >>"$LOG"; exit 1'
stub id 'echo 1000'
stub sudo 'exit 1'
export LOG=$trial/apt.log

expect_status() {
  local wanted=$1 status=0
  shift
  "$@" >"$trial/output" 2>&1 </dev/null || status=$?
  [ "$status" -eq "$wanted" ] || fail "status $status, not $wanted: $*"
}
expect_output() { grep -qF -- "$1" "$trial/output" || fail "no '$1' in the output"; }

echo "== neither root nor sudo: the list, and 2"
ABSENT="clang zlib1g-dev" expect_status 2 "$setup"
expect_output "  clang"
expect_output "apt-get install -y --no-install-recommends clang zlib1g-dev"
[ ! -e "$environment" ] || fail "an environment was made"
ABSENT="chromium" expect_status 2 "$setup" test
expect_output "  chromium"

echo "== root, but apt-get fails: the list, and 2"
stub id 'echo 0'
ABSENT="ninja-build" expect_status 2 "$setup"
expect_output "  ninja-build"
grep -q "apt-get .*install .*ninja-build" "$LOG" || fail "apt-get was not tried"
stub id 'echo 1000'

echo "== unknown need: 2"
expect_status 2 "$setup" everything
expect_output "unknown need 'everything'"

echo "== killed in the middle: nothing under the final name; the next one makes it whole"
setsid "$setup" >"$trial/output" 2>&1 </dev/null &
victim=$!
for _ in {1..200}; do
  [ -e "$environment.partial/pyvenv.cfg" ] && break
  sleep 0.05
done
[ -e "$environment.partial" ] || fail "it was not caught in the middle"
kill -KILL -- "-$victim"
wait $victim 2>/dev/null || true
[ ! -e "$environment" ] || fail "an incomplete environment has the final name"

echo "== two at once, after that: both end well, one makes it"
"$setup" test >"$trial/output1" 2>&1 </dev/null &
first=$!
"$setup" test >"$trial/output2" 2>&1 </dev/null || fail "one of two failed"
wait $first || fail "the other of two failed"
[ "$(cat "$trial"/output[12] | grep -c 'Making the Python environment')" = 1 ] ||
  fail "the environment was not made exactly once"
[ ! -e "$environment.partial" ] || fail "a partial environment was left"
"$environment/bin/python" -c 'import pip' || fail "the environment's python does not run"
"$environment/bin/pip" --version >/dev/null || fail "its scripts name another interpreter"

echo "== nothing to do: silent, and nothing is touched"
touch "$trial/before"
expect_status 0 "$setup" test
[ ! -s "$trial/output" ] || fail "it was not silent"
[ -z "$(find "$XDG_CACHE_HOME" -newer "$trial/before")" ] || fail "something was written"

echo "== no real images and no way to get them: loud, and 0"
ABSENT="dataset-fashion-mnist" expect_status 0 "$setup"
expect_output "SYNTHETIC"
