"""Makes the helpers of these tests importable: guard_stream.py, and the benchmarks' audit of commands."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "benchmarks")]
