"""`runtime: onnx` in the nodes that compute with the model: torch's numbers within the stated tolerance, and no
configure with an export of anything else."""

import json
import shutil

import numpy as np
import pytest
from node_bench import make_checkpoint
from std_msgs.msg import Header

from jepa_ros.export.runtime import OnnxModel
from jepa_ros.export.verify import TOLERANCE
from jepa_ros.export.writer import export_checkpoint
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.wire import images, tensor
from jepa_ros.nodes.world_model import WorldModelNode
from jepa_ros.world_model.checkpoint import load_checkpoint
from jepa_ros.world_model.model import WorldModel

T, D, A, KA = 2, 16, 6, 24


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A checkpoint with its export beside the weights, and another export in the folder `onnx`; rollouts of 3 blocks."""
    folder = tmp_path_factory.mktemp("exported")
    make_checkpoint(folder, seed=5)
    export_checkpoint(load_checkpoint(folder), horizon=3)
    export_checkpoint(load_checkpoint(folder), folder / "onnx", horizon=3)
    return folder


def test_both_nodes_give_the_numbers_of_torch(world, exported, image):
    settings = {"checkpoint": str(exported)}  # auto
    encoder = world.make(EncoderNode, parameters=settings)
    model = load_checkpoint(exported).model
    assert isinstance(encoder._checkpoint.model, OnnxModel)
    message = images.to_msg(image, Header())
    latent = tensor.from_msg(encoder.embed(message).latent)[0]
    assert latent.dtype == np.float32
    np.testing.assert_allclose(latent, model.embed(image), rtol=TOLERANCE, atol=TOLERANCE)

    world_model = world.make(WorldModelNode, parameters=settings, in_graph=False)
    reference = world.make(WorldModelNode, parameters=settings | {"runtime": "torch"}, in_graph=False)
    assert isinstance(reference._checkpoint.model, WorldModel)
    assert isinstance(world_model._checkpoint.model, OnnxModel)
    rng = np.random.default_rng(0)
    for samples, horizon in ((1, 3), (64, 3), (7, 5)):
        shapes = (T, D), (T, A), (T - 1, KA), (samples, horizon, KA)
        arrays = [0.1 * rng.standard_normal(shape) for shape in shapes]
        ours, theirs = world_model.imagine(*arrays), reference.imagine(*arrays)
        for name in ("latents", "proprio", "actions"):
            np.testing.assert_allclose(
                getattr(ours, name), getattr(theirs, name), rtol=TOLERANCE, atol=TOLERANCE
            )


def refused(world, **parameters):
    node = world.make(WorldModelNode, start=False, parameters={"runtime": "onnx", **parameters})
    assert not node.start()
    return str(node.failure)


def test_an_export_that_is_not_the_checkpoints_is_refused(world, exported, checkpoint, tmp_path):
    assert "export.json: not readable" in refused(world, checkpoint=checkpoint)
    assert "in use is" in refused(world, checkpoint=checkpoint, onnx=str(exported / "onnx"))

    forged = tmp_path / "forged"  # another model's graphs, under this checkpoint's name
    shutil.copytree(exported / "onnx", forged)
    _rename(forged, load_checkpoint(checkpoint).model_id)
    assert "ONNX Runtime and torch differ" in refused(world, checkpoint=checkpoint, onnx=str(forged))


def _rename(folder, model_id):
    import hashlib

    import onnx

    manifest = json.loads((folder / "export.json").read_text())
    manifest["model"]["model_id"] = model_id
    for name, entry in manifest["files"].items():
        proto = onnx.load(folder / f"{name}.onnx")
        for item in proto.metadata_props:
            if item.key == "jepa_ros.model_id":
                item.value = json.dumps(model_id)
        onnx.save(proto, folder / f"{name}.onnx")
        entry["sha256"] = hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest()
    (folder / "export.json").write_text(json.dumps(manifest))
