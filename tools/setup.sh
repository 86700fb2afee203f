#!/usr/bin/env bash
# Sets up everything `make demo` and `make test` need, says what it does, and does nothing the second time.
#
#   1. finds the tools of the machine, and says how to get a missing one
#   2. makes .venv with the pinned requirements; ROS 2 Jazzy comes as wheels unless an installed ROS 2 is sourced
#   3. builds the workspace: build/, install/, log/
#   4. makes sure that MuJoCo can render off screen
#
# JEPA_PYTHON names the Python to use. pip's own variables (PIP_INDEX_URL, PIP_FIND_LINKS, ...) are respected.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
venv=$root/.venv
state=$venv/jepa_ros          # stamps and logs of this script
recipe=1                      # raise it where this script changes so that an environment must be made anew
PATH=${PATH//"$venv/bin:"/}   # never make the environment from itself

say() { echo "[setup] $*"; }
fail() {
  printf '[setup] error: %s\n' "$1" >&2
  shift
  printf '[setup]        %s\n' "$@" >&2
  exit 1
}
# step LOG COMMAND...: runs quietly; shows the end of the log where it fails
step() {
  local log=$1
  shift
  if ! "$@" > "$log" 2>&1; then
    tail -n 30 "$log" >&2
    fail "this failed: $*" "The whole log: $log"
  fi
}

# The prefix of an installed and sourced ROS 2, empty without one. Our own folders do not count.
installed_ros() {
  [ -n "${ROS_DISTRO:-}" ] && command -v ros2 > /dev/null || return 0
  local prefix
  while read -r -d: prefix; do
    case $prefix in "$root"/*) continue ;; esac
    if [ -e "$prefix/share/rclpy/package.xml" ]; then
      echo "$prefix"
      return
    fi
  done <<< "${AMENT_PREFIX_PATH:-}:"
}

digest() { sha256sum | cut -c 1-32; }

# What the environment depends on, and what the build depends on besides.
environment_digest() {
  { echo "$recipe $root $mode"; cat requirements/*.txt tools/repair_wheel_paths.py; } | digest
}
build_digest() {
  { environment_digest
    cat CMakeLists.txt package.xml msg/* srv/* action/*
    # Sources are linked into install/, so only their names count. The code sees new ones without a build as well.
    { find jepa_ros scripts config launch models -type f ! -name '*.pyc' 2> /dev/null || true; } | LC_ALL=C sort
  } | digest
}
stamp_is() { [ "$(cat "$state/$1" 2> /dev/null)" = "$2" ]; }

# ---------------------------------------------------------------------------------------------- 1. the machine

missing=()   # apt packages to ask for, all at once

find_tools() {
  local tool
  for tool in git make g++ "$@"; do
    command -v "$tool" > /dev/null && continue
    case $tool in colcon) missing+=(python3-colcon-common-extensions) ;; *) missing+=("$tool") ;; esac
  done
}

# Sets python to one that can make a virtual environment and compile extensions.
find_python() {
  local candidates=("${JEPA_PYTHON:-}" python3 python3.12 python3.11) candidate version found=""
  [ "$mode" = wheels ] || candidates=(python3)   # ROS 2 is compiled for the system's Python
  for candidate in "${candidates[@]}"; do
    [ -n "$candidate" ] || continue
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null) || continue
    case $version in 3.11 | 3.12) ;; *) found+=" $candidate is $version;" && continue ;; esac
    "$candidate" -c 'import venv, ensurepip' 2> /dev/null || missing+=("python$version-venv")
    [ -e "$("$candidate" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
      missing+=("python$version-dev")
    python=$(command -v "$candidate")
    python_version=$version
    return
  done
  fail "no Python 3.11 or 3.12 found.${found:+ Seen:$found}" \
    "Debian 12, Ubuntu 24.04: sudo apt-get install python3 python3-venv python3-dev ${missing[*]}" \
    "Or name one: JEPA_PYTHON=/path/to/python3.12 make setup"
}

need_nothing_more() {
  [ ${#missing[@]} -eq 0 ] ||
    fail "missing on this machine: ${missing[*]}" "Get it: sudo apt-get install ${missing[*]}"
}

check_machine() {
  if [ "$mode" = wheels ]; then
    find_tools
    [ "$(uname -sm)" = "Linux x86_64" ] ||
      fail "ROS 2 comes as wheels for Linux x86_64 only; this is $(uname -sm)." \
        "Install ROS 2 Jazzy and source it first: . /opt/ros/jazzy/setup.bash"
    local setup_file
    for setup_file in /opt/ros/*/setup.bash; do
      [ -e "$setup_file" ] && say "an installed ROS 2 is not sourced; to use it: . $setup_file && make setup"
    done
    find_python
    need_nothing_more
    say "no ROS 2 is sourced: using Jazzy wheels, and $python ($python_version)"
  else
    find_tools colcon cmake
    find_python
    need_nothing_more
    "$python" -c 'import rclpy' 2> /dev/null ||
      fail "ROS 2 $ROS_DISTRO is sourced from $underlay, but $python ($python_version) cannot import its rclpy." \
        "jepa_ros needs ROS 2 Jazzy or newer on Python 3.11 or 3.12; a shell without ROS 2 uses wheels instead."
    say "using ROS 2 $ROS_DISTRO of $underlay, and $python ($python_version)"
  fi
}

# ------------------------------------------------------------------------------------------ 2. the environment

make_environment() {
  local wanted constraints
  wanted=$(environment_digest)
  stamp_is environment "$wanted" && "$venv/bin/python" -c '' 2> /dev/null && return
  check_machine
  rm -f "$state/ready"
  if ! stamp_is kind "$root $mode $python_version" || ! "$venv/bin/python" -m pip --version > /dev/null 2>&1; then
    say "making the virtual environment .venv"
    rm -rf "$venv" build install log
    if [ "$mode" = wheels ]; then
      "$python" -m venv "$venv"
    else
      "$python" -m venv --system-site-packages "$venv"
    fi
    mkdir -p "$state"
    touch "$venv/COLCON_IGNORE"
    echo "$root $mode $python_version" > "$state/kind"
    echo "$mode" > "$state/mode"
    echo "$underlay" > "$state/underlay"
  fi

  constraints=(-c requirements/constraints.txt)
  if [ "$mode" = wheels ]; then
    constraints+=(-r requirements/ros.txt)
  else
    "$python" -c 'import numpy; print("numpy==" + numpy.__version__)' > "$state/numpy.txt" 2> /dev/null ||
      fail "the sourced ROS 2 has no NumPy" "Get it: sudo apt-get install python3-numpy"
    constraints+=(-c "$state/numpy.txt")
    say "keeping $(cat "$state/numpy.txt") of the installed ROS 2"
  fi
  say "installing the pinned requirements, some minutes the first time (log: .venv/jepa_ros/pip.log)"
  step "$state/pip.log" "$venv/bin/python" -m pip install --disable-pip-version-check \
    -r requirements/core.txt -r requirements/lerobot.txt -r requirements/test.txt "${constraints[@]}"
  if [ "$mode" = wheels ]; then
    say "$("$venv/bin/python" tools/repair_wheel_paths.py)"
    env -u LD_LIBRARY_PATH "$venv/bin/python" -c \
      'import ros_wheels_bootstrapper as wheels; print(wheels.get_ros_paths())' > "$state/library_path"
  fi
  echo "$wanted" > "$state/environment"
}

# ------------------------------------------------------------------------------------------------ 3. the build

build_workspace() {
  local wanted
  wanted=$(build_digest)
  stamp_is build "$wanted" && [ -e install/setup.sh ] && return
  rm -f "$state/ready"
  say "building the workspace with colcon, under a minute (log: .venv/jepa_ros/build.log)"
  # Desktop notifications can wait half a minute for a desktop that is not there.
  step "$state/build.log" env "${build_environment[@]}" \
    COLCON_EXTENSION_BLOCKLIST=colcon_core.event_handler.desktop_notification \
    colcon build --base-paths . --symlink-install --event-handlers console_direct+ \
    --cmake-args -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$venv/bin/python"
  echo "$wanted" > "$state/build"
}

# -------------------------------------------------------------------------------------------- 4. the rendering

can_render() { "$venv/bin/python" tools/check_rendering.py > "$state/rendering.log" 2>&1; }

check_rendering() {
  local libraries="libegl1 libgl1 libopengl0 libgl1-mesa-dri" sudo=""
  [ -e "$state/rendering" ] && return
  rm -f "$state/ready"
  if ! can_render; then
    say "MuJoCo cannot render off screen yet: $(tail -n 1 "$state/rendering.log")"
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    if [ -z "$sudo" ] || { command -v sudo > /dev/null && sudo -n true 2> /dev/null; }; then
      say "installing $libraries"
      { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq $libraries; } \
        > "$state/apt.log" 2>&1 || tail -n 5 "$state/apt.log" >&2
    fi
    can_render ||
      fail "MuJoCo cannot render off screen: $(tail -n 1 "$state/rendering.log")" \
        "Get it: sudo apt-get install $libraries" "then repeat. Another back end: export MUJOCO_GL=osmesa or glfw."
  fi
  say "MuJoCo renders off screen"
  touch "$state/rendering"
}

# ------------------------------------------------------------------------------------------------------- main

exec 9< tools/setup.sh
if command -v flock > /dev/null && ! flock -n 9; then
  say "waiting for another set-up to end"
  flock 9
fi

underlay=$(installed_ros)
mode=$([ -n "$underlay" ] && echo installed || echo wheels)
if [ "$mode" = wheels ]; then
  if [ "$(cat "$state/mode" 2> /dev/null)" = installed ]; then
    fail "this folder was set up with the ROS 2 of $(cat "$state/underlay"), which is not sourced here." \
      "Source it:       . $(cat "$state/underlay")/setup.bash" "or start afresh: make clean"
  fi
  build_environment=(-u LD_LIBRARY_PATH -u PYTHONPATH -u _ROS_WHEELS_BOOTSTRAP_COMPLETE
    "AMENT_PREFIX_PATH=$venv" "CMAKE_PREFIX_PATH=$venv" "VIRTUAL_ENV=$venv" "PATH=$venv/bin:$PATH")
else
  build_environment=("VIRTUAL_ENV=$venv" "PATH=$venv/bin:$PATH")
fi

make_environment
build_workspace
check_rendering
[ -e "$state/ready" ] || say "ready. For hand work: . ./activate"
touch "$state/ready"
