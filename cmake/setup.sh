#!/bin/bash
# Installs what is missing and nothing else: Debian packages, and the Python environment that
# holds LibTorch. Quick, and without any network, when nothing is missing.
#
#   cmake/setup.sh              what `make bench` needs
#   cmake/setup.sh test         and what `make test` needs
#   cmake/setup.sh lint         and what `make lint` needs
#
# Exit status 2: packages are missing and cannot be installed from here; they are listed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lockstep

# A compiler for us, libraries we link, and gloo's headers, which the wheel leaves out.
packages=(ca-certificates clang cmake ninja-build ccache python3-venv zlib1g-dev libdeflate-dev
  libgtest-dev libbenchmark-dev libcli11-dev nlohmann-json3-dev libnlopt-cxx-dev libgloo-dev
  libmuparser-dev libtomlplusplus-dev)
# The real images. Without them the main job still runs, on synthetic ones.
optional=(dataset-fashion-mnist)
testing=false
for need in "$@"; do
  case $need in
    test)
      testing=true
      # The page's browser, compare.py, the sanitizers' runtimes, ps for tests of processes,
      # ip and ss for those of hosts; launchers of ranks.
      packages+=(chromium libbenchmark-tools libclang-rt-14-dev procps patch iproute2 openmpi-bin
        munge slurm-client slurmctld slurmd)
      ;;
    lint) packages+=(clang-format clang-tidy) ;;
    *)
      echo "setup: unknown need '$need'; known: test, lint" >&2
      exit 2
      ;;
  esac
done

say() { printf '==> %s\n' "$*"; }

# Prints those of its arguments that are not installed, one a line.
missing_packages() {
  if ! command -v dpkg-query >/dev/null; then
    printf '%s\n' "$@"
    return
  fi
  local installed
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
  local package
  for package in "$@"; do
    grep -qxF "$package installed" <<<"$installed" || echo "$package"
  done
}

give_up() {
  {
    echo
    echo "setup: $1"
    echo "setup: these Debian packages are missing:"
    printf '  %s\n' "${@:2}"
    echo "setup: have them installed, then run this again:"
    echo "  apt-get install -y --no-install-recommends ${*:2}"
  } >&2
  exit 2
}

as_root=()
# Finds how to run a command as root; fails where there is no way.
find_root() {
  if [ "$(id -u)" = 0 ]; then
    as_root=(env)
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; then
    as_root=(sudo env)
  else
    return 1
  fi
  command -v apt-get >/dev/null
}

# Without the lock's descriptor (9): a service that a package starts must not keep it.
apt() {
  "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 \
    -o DPkg::Lock::Timeout=600 "$@" </dev/null 9>&-
}

updated=false
install_packages() {
  if ! $updated; then
    # A stale index may still do, so a failure here is not the end.
    apt update || echo "setup: apt-get update failed; trying with the index as it is" >&2
    updated=true
  fi
  apt install -y --no-install-recommends "$@"
}

install_debian() {
  local missing
  mapfile -t missing < <(missing_packages "${packages[@]}")
  if [ ${#missing[@]} -gt 0 ]; then
    say "Installing ${#missing[@]} Debian packages: ${missing[*]}"
    find_root || give_up "cannot install packages: neither root, nor sudo, or no apt-get" \
      "${missing[@]}"
    install_packages "${missing[@]}" || give_up "apt-get could not install them" "${missing[@]}"
    # apt-get can end well and leave a package out (a held one, say).
    mapfile -t missing < <(missing_packages "${packages[@]}")
    [ ${#missing[@]} -eq 0 ] || give_up "apt-get left some out" "${missing[@]}"
  fi
  mapfile -t missing < <(missing_packages "${optional[@]}")
  if [ ${#missing[@]} -gt 0 ]; then
    say "Installing the images: ${missing[*]}"
    if ! { find_root && install_packages "${missing[@]}"; }; then
      {
        echo
        echo "WARNING: no real images here: could not install ${missing[*]}."
        echo "WARNING: the main job will use SYNTHETIC images. For the real ones, as root:"
        echo "WARNING:   apt-get install -y ${missing[*]}"
        echo
      } >&2
    fi
  fi
}

pip_install() {
  local python=$1
  shift
  local bar=off # a bar on a pipe is noise; the names of the wheels are printed anyway
  [ -t 1 ] && bar=on
  # -I and PIP_USER: the caller's own Python settings must not steer what is shared.
  PIP_USER=0 PIP_TARGET='' PIP_DISABLE_PIP_VERSION_CHECK=1 \
    "$python" -I -m pip install --no-input --progress-bar "$bar" "$@"
}

# Note [Whole or not at all]
# A folder under its final name is complete: it is made under the name `*.partial` and renamed
# last. One lock serialises all clones of this user. Children inherit the lock's descriptor, so
# when this script alone is killed, the next one waits until pip is done too; then it removes
# what was left and starts over. Nobody ever writes into a folder that is in place.
environment=$cache/env-$(sha256sum <"$root/requirements.txt" | cut -c1-16)
test_packages=$cache/test-$(sha256sum <"$root/requirements-test.txt" | cut -c1-16)

make_environment() {
  local partial=$environment.partial
  say "Making the Python environment that holds LibTorch (once; some minutes, 5 GB)"
  say "  in $environment"
  rm -rf "$partial"
  # Debian's python3, whatever else is first on PATH: every clone must get the same one.
  /usr/bin/python3 -I -m venv "$partial"
  pip_install "$partial/bin/python" -r "$root/requirements.txt"
  # Scripts name their interpreter by its full path, which the rename changes.
  grep -rlIZ --exclude-dir=__pycache__ -F "$partial" "$partial/bin" "$partial/pyvenv.cfg" |
    xargs -0r sed -i "s|$partial|$environment|g"
  mv -T "$partial" "$environment"
}

make_test_packages() {
  local partial=$test_packages.partial
  say "Installing what only the tests need in $test_packages"
  rm -rf "$partial"
  # --no-deps: these stand on the environment's own numpy; a second one would shadow it.
  pip_install "$environment/bin/python" --no-deps --target "$partial" \
    -r "$root/requirements-test.txt"
  mkdir -p "$partial" # pip makes none for an empty list
  mv -T "$partial" "$test_packages"
}

complete() {
  [ -z "$(missing_packages "${packages[@]}" "${optional[@]}")" ] && [ -d "$environment" ] &&
    { ! $testing || [ -d "$test_packages" ]; }
}

if complete; then
  exit 0
fi

mkdir -p "$cache"
if command -v flock >/dev/null; then
  exec 9>"$cache/setup.lock"
  if ! flock -n 9; then
    say "Another set-up is at work (lock $cache/setup.lock); waiting for it"
    flock 9
  fi
fi
install_debian
[ -d "$environment" ] || make_environment
if $testing && ! [ -d "$test_packages" ]; then
  make_test_packages
fi
say "Set up."
