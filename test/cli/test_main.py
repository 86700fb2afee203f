"""The `jepa` command itself: quick, lazy, and errors that a user can read."""

import subprocess
import sys

import pytest

from jepa_ros.cli import main as cli
from jepa_ros.errors import JepaError

HEAVY = ("torch", "mujoco", "numpy", "rosbags", "cv2", "matplotlib", "rclpy")


def jepa(*words, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "jepa_ros.cli.main", *words],
        capture_output=True,
        text=True,
        timeout=120,
        **kwargs,
    )


def test_help_names_every_command_and_imports_nothing_heavy():
    code = (
        "import sys; from jepa_ros.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit as stop: assert stop.code == 0\n"
        f"heavy = [m for m in {HEAVY} if m in sys.modules]; assert not heavy, heavy"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert all(name in run.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_of_a_command_needs_neither_torch_nor_mujoco(command):
    code = (
        "import sys; from jepa_ros.cli.main import main\n"
        f"try: main(['{command}', '--help'])\nexcept SystemExit as stop: assert stop.code == 0\n"
        "heavy = [m for m in ('torch', 'mujoco', 'rclpy') if m in sys.modules]; assert not heavy, heavy"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "--" in run.stdout


def test_version_is_that_of_package_xml():
    run = jepa("--version")
    assert run.returncode == 0 and run.stdout.strip() == f"jepa_ros {cli.package_version()}"
    assert cli.package_version() != "unknown"


@pytest.mark.parametrize(
    "words, told",
    [
        ((), "COMMAND"),
        (("fly",), "invalid choice: 'fly'"),
        (("evaluate", "--episodes", "many"), "--episodes"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(words, told):
    run = jepa(*words)
    assert run.returncode == 2 and told in run.stderr and "Traceback" not in run.stderr


@pytest.fixture
def command(monkeypatch):
    """Makes `jepa evaluate` raise what a test wants."""

    def raising(error):
        def run(args):
            raise error

        from jepa_ros.cli import evaluate

        monkeypatch.setattr(evaluate, "run", run)

    return raising


def test_a_user_error_is_one_line_and_exit_2(command, capsys):
    command(JepaError("the model is made of cheese; train another"))
    assert cli.main(["evaluate"]) == 2
    assert capsys.readouterr().err == "error: the model is made of cheese; train another\n"


def test_ctrl_c_is_exit_130_without_a_traceback(command, capsys):
    command(KeyboardInterrupt())
    assert cli.main(["evaluate"]) == 130
    assert "Traceback" not in capsys.readouterr().err
