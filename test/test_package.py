"""The package's files agree with each other: package.xml, setup.py, CMakeLists.txt, scripts, requirements."""

import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

ROOT = pathlib.Path(__file__).parent.parent
MANIFEST = ElementTree.parse(ROOT / "package.xml").getroot()
CMAKE = (ROOT / "CMakeLists.txt").read_text()
# Everything ROS that the nodes may import, by rosdep key; the rest of package.xml is Python and tools.
PINNED = re.compile(r"^[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*$")


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    """What setup.py says, as pip would see it: text of the wheel's METADATA and entry_points.txt, and its files."""
    out = tmp_path_factory.mktemp("dist")
    code = (
        "import runpy, sys, setuptools, json\n"
        "found = {}\n"
        "setuptools.setup = lambda **kw: found.update(kw)\n"
        "runpy.run_path('setup.py')\n"
        "print(json.dumps(found))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    import json

    (out / "setup.json").write_text(run.stdout)
    return json.loads(run.stdout)


def rosdep_keys():
    return {e.text for e in MANIFEST.iter() if e.tag == "depend" or e.tag.endswith("_depend")}


def test_package_xml_is_format_3_with_what_a_release_needs():
    assert MANIFEST.get("format") == "3"
    for tag in ("name", "version", "description", "maintainer", "license"):
        assert MANIFEST.findtext(tag).strip(), tag
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST.findtext("version"))
    assert MANIFEST.find("maintainer").get("email")
    assert MANIFEST.findtext("export/build_type") == "ament_cmake"
    assert MANIFEST.findtext("member_of_group") == "rosidl_interface_packages"


def test_catkin_pkg_finds_package_xml_valid():
    package = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg comes with ROS 2 or its wheels")
    warnings = []
    parsed = package.parse_package(str(ROOT / "package.xml"), warnings=warnings)
    parsed.validate(warnings=warnings)
    assert not warnings


def test_name_and_version_agree(metadata):
    assert metadata["name"] == MANIFEST.findtext("name") == re.search(r"project\((\w+)", CMAKE)[1]
    assert metadata["version"] == MANIFEST.findtext("version")
    assert metadata["license"] == MANIFEST.findtext("license")
    assert MANIFEST.findtext("version") in (ROOT / "CHANGELOG.rst").read_text()


def test_the_jepa_command_is_the_same_from_pip_and_from_colcon(metadata):
    assert metadata["entry_points"]["console_scripts"] == ["jepa = jepa_ros.cli.main:main"]
    script = (ROOT / "scripts/jepa").read_text()
    assert "from jepa_ros.cli.main import main" in script
    assert "scripts/jepa DESTINATION bin" in CMAKE


def test_pip_installs_every_room(metadata):
    rooms = {
        "jepa_ros." + str(p.parent.relative_to(ROOT / "jepa_ros")).replace("/", ".")
        for p in (ROOT / "jepa_ros").glob("*/**/__init__.py")
    }
    assert {"jepa_ros"} | rooms == set(metadata["packages"])


def test_pip_installs_every_data_file(metadata):
    patterns = metadata["package_data"][""]
    data = [
        p
        for p in (ROOT / "jepa_ros").rglob("*")
        if p.is_file() and p.suffix not in (".py", ".pyc") and "__pycache__" not in p.parts
    ]
    forgotten = [str(p.relative_to(ROOT)) for p in data if not any(p.match(pattern) for pattern in patterns)]
    assert not forgotten, f"not in package_data of setup.py: {forgotten}"


def test_cmake_generates_every_interface_file():
    on_disk = {
        str(p.relative_to(ROOT)) for folder in ("msg", "srv", "action") for p in (ROOT / folder).iterdir()
    }
    assert on_disk == set(re.findall(r"^  ((?:msg|srv|action)/\S+)$", CMAKE, re.MULTILINE))


def test_cmake_installs_every_script():
    on_disk = {f"scripts/{p.name}" for p in (ROOT / "scripts").iterdir() if p.is_file()}
    assert on_disk == set(re.findall(r"scripts/\w+", CMAKE))
    for script in on_disk:
        assert (ROOT / script).stat().st_mode & 0o111, f"{script} is not executable"
        assert (ROOT / script).read_text().startswith("#!/usr/bin/env python3\n"), script


def test_interfaces_are_documented_field_by_field():
    undocumented = []
    for folder in ("msg", "srv", "action"):
        for path in (ROOT / folder).iterdir():
            lines = path.read_text().splitlines()
            assert lines[0].startswith("# "), f"{path.name} does not start by saying what it is"
            for line in lines:
                code, _, comment = line.partition("#")
                if code.strip() and code.strip() != "---" and not comment.strip():
                    undocumented.append(f"{path.name}: {line}")
    assert not undocumented


def test_cmake_and_package_xml_name_the_same_build_packages():
    found = set(re.findall(r"find_package\((\w+)", CMAKE))
    declared = {e.text for e in MANIFEST if e.tag in ("depend", "buildtool_depend")}
    assert found == declared


def test_every_ros_module_the_nodes_import_is_declared():
    imported = set()
    for path in (ROOT / "jepa_ros/nodes").rglob("*.py"):
        imported |= set(re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE))
    ros = {
        m
        for m in imported
        if m
        in (
            "rclpy",
            "cv_bridge",
            "tf_transformations",
            "launch",
            "launch_ros",
            "rcl_interfaces",
            "ament_index_python",
        )
        or m.endswith("_msgs")
        or m in ("std_srvs", "builtin_interfaces")
    }
    assert "rclpy" in ros
    assert ros <= rosdep_keys(), f"missing in package.xml: {ros - rosdep_keys()}"


@pytest.mark.parametrize("name", ["core", "ros", "lerobot", "test", "constraints"])
def test_requirements_are_exact_pins(name):
    for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement and requirement != "numpy>=1.26,<3":  # its pin depends on where ROS 2 comes from
            assert PINNED.match(requirement), requirement


def test_requirements_name_no_registry():
    for path in (ROOT / "requirements").iterdir():
        assert "://" not in path.read_text() and "--index" not in path.read_text(), path.name


def test_license_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert (
        "Apache License" in text
        and "Version 2.0, January 2004" in text
        and "END OF TERMS AND CONDITIONS" in text
    )


def test_shell_files_parse():
    for name in ("activate", "tools/setup.sh", "tools/check_install.sh", ".ci/run"):
        run = subprocess.run(["bash", "-n", name], cwd=ROOT, capture_output=True, text=True, timeout=20)
        assert run.returncode == 0, run.stderr
