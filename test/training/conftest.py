"""Lets the tests of this folder share a world."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for dot_world, one_of_several
