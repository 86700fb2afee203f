"""The import contract between the rooms: .importlinter, and what it cannot say."""

import ast
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "jepa_ros"
GENERATED = {"msg", "srv", "action"}
ROS = {
    "rclpy",
    "launch",
    "launch_ros",
    "ament_index_python",
    "cv_bridge",
    "tf_transformations",
    "tf2_ros",
    "rosidl_runtime_py",
    "std_srvs",
    "builtin_interfaces",
    "rcl_interfaces",
    "ros2cli",
}


def lint(folder):
    """Runs lint-imports on the package in ``folder``; returns (exit status, report)."""
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
            "--config",
            str(ROOT / ".importlinter"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "COLUMNS": "200"},
    )
    return run.returncode, run.stdout + run.stderr


def ros_imports(folder):
    """Imports, at any depth of a file, of ROS modules or generated interfaces outside nodes/: ["file:line module"]."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if parts[0] == "nodes":
            continue
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                package = list(("jepa_ros",) + parts[:-1])
                base = package[: len(package) - node.level + 1] if node.level else []
                base = ".".join(base + ([node.module] if node.module else []))
                names = [base] + [f"{base}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                top, _, rest = name.partition(".")
                generated = top == "jepa_ros" and rest.partition(".")[0] in GENERATED
                if generated or top in ROS or top.endswith("_msgs"):
                    found.append(f"{'/'.join(parts)}:{node.lineno} {name}")
    return found


def test_rooms_keep_the_contract():
    status, report = lint(ROOT)
    assert status == 0, report


def test_only_nodes_import_ros_and_the_interfaces():
    assert ros_imports(PACKAGE) == []


@pytest.mark.parametrize(
    "room, line, broken",
    [
        ("planning", "import torch", "NumPy only"),
        ("planning", "from jepa_ros.world_model import model", "only rooms below"),
        ("safety", "from jepa_ros.data import dataset", "NumPy only"),
        ("simulation", "from jepa_ros.data import action_spec", "only rooms below"),
        ("data", "def lazily():\n    import torch.nn", "Dataset only"),
        ("training", "import rclpy", "no ROS 2"),
        ("world_model", "from jepa_ros.planning import memory", "only rooms below"),
    ],
)
def test_a_violation_is_seen(tmp_path, room, line, broken):
    shutil.copytree(PACKAGE, tmp_path / "jepa_ros", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "jepa_ros" / room / "violation.py").write_text(line + "\n")
    status, report = lint(tmp_path)
    assert status != 0 and any(broken in row and "BROKEN" in row for row in report.splitlines()), report


@pytest.mark.parametrize(
    "line",
    [
        "import rclpy.node",
        "from sensor_msgs.msg import Image",
        "from jepa_ros.msg import Tensor",
        "import jepa_ros.srv",
        "from jepa_ros import action",
        "def lazily():\n    from ..msg import Tensor",
        "from builtin_interfaces.msg import Time",
    ],
)
def test_a_ros_import_is_seen(tmp_path, line):
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "violation.py").write_text(line + "\n")
    assert ros_imports(tmp_path)
    (tmp_path / "training").rename(tmp_path / "nodes")
    assert ros_imports(tmp_path) == []


def loaded_after(code, *modules):
    """Which of ``modules`` a fresh Python has loaded after running ``code``."""
    script = f"import sys\n{code}\nprint('loaded:', *[m for m in {modules!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.split("loaded:")[1].split()


def test_importing_the_package_or_a_room_pulls_nothing_heavy():
    rooms = sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py"))
    code = "\n".join(f"import jepa_ros.{room}" for room in rooms)
    assert loaded_after(code, "torch", "mujoco", "rclpy", "cv2", "numpy", "rosbags") == []


def test_the_first_line_of_the_package_merges_the_interfaces():
    assert (
        PACKAGE / "__init__.py"
    ).read_text() == '__path__ = __import__("pkgutil").extend_path(__path__, __name__)\n'


def test_the_jepa_command_starts_without_torch_and_ros():
    code = "import jepa_ros.cli.main as m\ntry:\n    m.main(['--help'])\nexcept SystemExit:\n    pass"
    assert loaded_after(code, "torch", "mujoco", "rclpy", "cv2") == []


@pytest.mark.parametrize("node", ["action_publisher", "simulator"])
def test_the_process_has_no_torch(node):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    assert loaded_after(f"import jepa_ros.nodes.{node}", "torch") == []
