#!/usr/bin/env bash
# Proves that `colcon build` without --symlink-install gives a tree that stands alone: it is built into a temporary
# folder, entered without the sources on the path, and every module, executable and shared file is looked for there.
set -eo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. "$root/activate"
cd "$root"
COLCON_EXTENSION_BLOCKLIST=colcon_core.event_handler.desktop_notification \
  colcon --log-base "$tmp/log" build --base-paths . --build-base "$tmp/build" --install-base "$tmp/install" \
  --cmake-args -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$VIRTUAL_ENV/bin/python" > "$tmp/build.log" 2>&1 ||
  { cat "$tmp/build.log" >&2; exit 1; }
# This environment knows the workspace in install/ and the sources: forget both.
unset PYTHONPATH
AMENT_PREFIX_PATH=$(tr : '\n' <<< "$AMENT_PREFIX_PATH" | grep -vx "$root/install/jepa_ros" | paste -sd :)
PATH=$(tr : '\n' <<< "$PATH" | grep -vx "$root/install/jepa_ros/bin" | paste -sd :)
COLCON_CURRENT_PREFIX=$tmp/install
. "$tmp/install/local_setup.bash"
cd "$tmp"
[ "$(command -v jepa)" = "$tmp/install/jepa_ros/bin/jepa" ] || { echo "jepa is not on the PATH"; exit 1; }
jepa --version
python - "$root" "$tmp/install/jepa_ros" << 'PY'
import importlib, pathlib, sys

source, prefix = map(pathlib.Path, sys.argv[1:])
import jepa_ros

site = pathlib.Path(jepa_ros.__file__).parent
assert prefix in site.parents, f"jepa_ros came from {site}"
checked = 0
for path in sorted((source / "jepa_ros").rglob("*")):
    if path.is_file() and "__pycache__" not in path.parts:
        installed = site / path.relative_to(source / "jepa_ros")
        assert installed.is_file() and not installed.is_symlink(), f"not installed: {path.relative_to(source)}"
        if path.suffix == ".py":
            name = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            try:
                module = importlib.import_module(name)
            except ModuleNotFoundError as missing:  # launch does not come as a wheel
                if missing.name.split(".")[0] not in ("launch", "launch_ros"):
                    raise
                continue
            assert prefix in pathlib.Path(module.__file__).parents, f"{name} came from {module.__file__}"
        checked += 1
for folder, target in (("scripts", "lib/jepa_ros"), ("config", "share/jepa_ros/config"), ("launch", "share/jepa_ros/launch"),
                       ("models", "share/jepa_ros/models"), ("msg", "share/jepa_ros/msg")):
    for path in (source / folder).rglob("*") if (source / folder).is_dir() else []:
        if path.is_file() and "__pycache__" not in path.parts and path.name != "jepa":
            installed = prefix / target / path.relative_to(source / folder)
            assert installed.is_file(), f"not installed: {path.relative_to(source)} (wanted {installed})"
            checked += 1
from jepa_ros.msg import Tensor  # noqa: F401
print(f"installed tree stands alone: {checked} files, every module imported")
PY

# The ROS-free core, as `pip install .` installs it: alone, with neither ROS nor the workspace on any path.
mkdir "$tmp/source"
(cd "$root" && cp -r jepa_ros msg srv action package.xml setup.py setup.cfg LICENSE "$tmp/source/" &&
  { [ ! -d models ] || cp -r models "$tmp/source/"; })
"$VIRTUAL_ENV/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
  --target "$tmp/core" "$tmp/source"
env -u AMENT_PREFIX_PATH PYTHONPATH="$tmp/core" PATH="$tmp/core/bin:$PATH" python - "$root" "$tmp/core" << 'PY'
import importlib, pathlib, sys

source, core = map(pathlib.Path, sys.argv[1:])
checked = 0
for path in sorted((source / "jepa_ros").rglob("*")):
    relative = path.relative_to(source)
    if not path.is_file() or "__pycache__" in path.parts:
        continue
    assert (core / relative).is_file(), f"pip does not install {relative}"
    if path.suffix == ".py" and relative.parts[1] != "nodes":
        module = importlib.import_module(".".join(relative.with_suffix("").parts).removesuffix(".__init__"))
        assert core in pathlib.Path(module.__file__).parents
        checked += 1
assert (core / "bin/jepa").is_file()
print(f"pip's core stands alone: {checked} modules imported without ROS")
PY
