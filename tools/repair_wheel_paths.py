"""Points the ros-jazzy-* wheels' CMake files at this machine's Python and NumPy headers.

The wheels' exported targets name the include folders of the container they were built in
(/opt/python/cp3XX-cp3XX/...). Run with the Python of the virtual environment; prints what it did. Repeatable.
"""

import pathlib
import re
import sys
import sysconfig

import numpy

NUMPY = re.compile(r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/(?:_core|core)/include")
PYTHON = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")


def repair(share: pathlib.Path) -> int:
    """Rewrites share/**/*.cmake in place; returns the number of files changed."""
    changed = 0
    for path in share.glob("**/*.cmake"):
        old = path.read_text()
        new = NUMPY.sub(lambda _: numpy.get_include(), old)
        new = PYTHON.sub(lambda _: sysconfig.get_path("include"), new)
        if new != old:
            path.write_text(new)
            changed += 1
    return changed


if __name__ == "__main__":
    print(f"include paths repaired in {repair(pathlib.Path(sys.prefix) / 'share')} files")
