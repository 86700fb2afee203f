"""No source of this package reads a file in a way that can run code from it; a hostile YAML file is refused."""

import ast
from pathlib import Path

import pytest
import yaml

from jepa_ros.data.bag_files import BagFile
from jepa_ros.data.topics import Topics
from jepa_ros.errors import JepaError
from jepa_ros.nodes.bags.record_metadata import read_params_file
from jepa_ros.nodes.bringup.preset import read_preset
from jepa_ros.nodes.bringup.record_topics import read_record_topics

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ("jepa_ros", "launch", "benchmarks", "tools", "scripts")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and (path.suffix == ".py" or path.read_bytes()[:20].startswith(b"#!/usr/bin/env pytho"))
) + [ROOT / "setup.py"]
UNPICKLERS = {
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "jsonpickle",
}
UNSAFE_YAML = {"unsafe_load", "unsafe_load_all", "full_load", "full_load_all", "load_all"} | {
    f"{c}{kind}Loader" for c in ("", "C") for kind in ("", "Unsafe", "Full")
}


def dangers(source: str) -> list[str]:
    """What in a source can run code that a file or a caller brings, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        words = _dangers_of(node)
        found += [f"line {node.lineno}: {word}" for word in words]
    return found


def _dangers_of(node) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.split(".")[0] in UNPICKLERS]
    if isinstance(node, ast.ImportFrom):
        module = (node.module or "").split(".")[0]
        names = {alias.name for alias in node.names}
        return [module] * (module in UNPICKLERS) + sorted(names & UNSAFE_YAML if module == "yaml" else ())
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "yaml":
        return [f"yaml.{node.attr}"] * (node.attr in UNSAFE_YAML)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value] * (node.value in UNSAFE_YAML)
    if not isinstance(node, ast.Call):
        return []
    name, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
    safely = {
        "eval": False,
        "exec": False,
        "os.system": False,
        "os.popen": False,
        "torch.load": given.get("weights_only") == "True",
        "torch.jit.load": False,
        "torch.hub.load": False,
        "yaml.load": len(node.args) > 1 or "Loader" in given,
    }
    return (
        [name] * (not safely.get(name, True))
        + [f"{name} allow_pickle"] * (given.get("allow_pickle", "False") != "False")
        + [f"{name} shell"] * (given.get("shell", "False") != "False")
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_source_runs_no_code_of_a_file(path):
    assert dangers(path.read_text()) == []


def test_all_rooms_are_looked_at():
    looked = {str(path.relative_to(ROOT).parent) for path in SOURCES}
    rooms = {str(p.relative_to(ROOT).parent) for p in (ROOT / "jepa_ros").rglob("__init__.py")}
    assert rooms <= looked and {"launch", "benchmarks", "scripts"} <= looked


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.numpy_pickle",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.load(text, yaml.FullLoader)",
        "from yaml import UnsafeLoader",
        "getattr(yaml, 'CLoader')",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval('1')",
        "exec(text)",
        "os.system(word)",
        "subprocess.run(word, shell=True)",
    ],
)
def test_each_danger_is_seen(source):
    assert len(dangers(source)) == 1


@pytest.mark.parametrize(
    "source", ["yaml.safe_load(text)", "model.eval()", "torch.load(p, weights_only=True)"]
)
def test_what_is_safe_is_let_be(source):
    assert dangers(source) == []


HOSTILE = "{entry}: !!python/object/apply:os.mkdir [{trace}]\n"
READERS = {
    "preset": (lambda path: read_preset(str(path)), "robot file"),
    "params_file": (lambda path: read_params_file(path, "jepa"), "params_file"),
    "record topics": (read_record_topics, "topics file"),
    "bag topics": (Topics.from_yaml, "topics file"),
}


@pytest.mark.parametrize("reader", READERS)
def test_hostile_yaml_is_refused_and_not_run(reader, tmp_path):
    read, says = READERS[reader]
    trace, path = tmp_path / "trace", tmp_path / "hostile.yaml"
    path.write_text(HOSTILE.format(entry="topics", trace=trace))
    with pytest.raises(JepaError, match=f"{says} .*hostile.yaml"):
        read(path)
    assert not trace.exists()
    yaml.unsafe_load(path.read_text())
    assert trace.exists()  # it would have run


def test_bag_with_hostile_metadata_is_refused_and_not_run(tmp_path):
    trace = tmp_path / "trace"
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "metadata.yaml").write_text(
        HOSTILE.format(entry="rosbag2_bagfile_information", trace=trace)
    )
    with pytest.raises(JepaError, match="bag"), BagFile(tmp_path / "bag"):
        pass
    assert not trace.exists()
