"""Images to embeddings, goal images to goals."""

import numpy as np
import pytest
import torch
from jepa_ros.msg import Embedding, Goal
from jepa_ros.srv import EncodeImage, SetGoal
from node_bench import make_checkpoint, make_spec, stamp
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from jepa_ros.data.images import resize
from jepa_ros.nodes.encoder import EncoderNode
from jepa_ros.nodes.wire import images, qos, tensor
from jepa_ros.world_model.checkpoint import load_checkpoint


def latent_of(checkpoint, image):
    model = load_checkpoint(checkpoint).model
    return model.encode(torch.tensor(resize(image, model.image_size))[None]).detach().numpy()


def test_embedding_carries_the_images_stamp_and_latent(world, checkpoint, image):
    world.make(EncoderNode, parameters={"checkpoint": checkpoint})
    embeddings, camera = world.listen(Embedding, "embedding"), world.talk(Image, "image")
    header = Header(stamp=stamp(12.5), frame_id="camera")
    camera.publish(images.to_msg(image, header))
    embedding = embeddings.wait()
    assert embedding.header == header and embedding.encoder_id == load_checkpoint(checkpoint).model_id
    np.testing.assert_allclose(tensor.from_msg(embedding.latent), latent_of(checkpoint, image), atol=1e-5)
    assert tensor.from_msg(embedding.latent).shape == (1, 16) and embedding.encode_ms > 0


def test_any_image_size_is_cropped_and_resized(world, checkpoint):
    world.make(EncoderNode, parameters={"checkpoint": checkpoint})
    embeddings, camera = world.listen(Embedding, "embedding"), world.talk(Image, "image")
    large = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    camera.publish(images.to_msg(large, Header()))
    np.testing.assert_allclose(
        tensor.from_msg(embeddings.wait().latent), latent_of(checkpoint, large), atol=1e-4
    )


def test_wrong_image_size_is_named_and_the_next_image_encoded(world, checkpoint, image, capfd):
    world.make(EncoderNode, parameters={"checkpoint": checkpoint})
    embeddings, camera = world.listen(Embedding, "embedding"), world.talk(Image, "image")
    short = images.to_msg(image, Header(frame_id="short"))
    short.height = 128
    good = images.to_msg(image, Header(frame_id="good"))
    reply = world.call(EncodeImage, "encoder/encode", EncodeImage.Request(image=short))
    assert not reply.success and "height 128" in reply.message and "rgb8" in reply.message
    camera.publish(short)
    world.until(lambda: "image: image of encoding 'rgb8'" in capfd.readouterr().err)
    camera.publish(good)
    assert embeddings.wait().header.frame_id == "good"


def test_compressed_images(world, checkpoint, image):
    world.make(EncoderNode, parameters={"checkpoint": checkpoint, "image_transport": "compressed"})
    embeddings, camera = world.listen(Embedding, "embedding"), world.talk(CompressedImage, "image/compressed")
    camera.publish(images.to_compressed_msg(image, Header(stamp=stamp(1.0)), "png"))
    np.testing.assert_allclose(
        tensor.from_msg(embeddings.wait().latent), latent_of(checkpoint, image), atol=1e-5
    )


def test_goal_image_and_set_goal_are_latched(world, checkpoint, image):
    world.make(EncoderNode, parameters={"checkpoint": checkpoint})
    goals, goal_image = world.listen(Goal, "goal", qos.GOAL_READER), world.talk(Image, "goal_image")
    goal_image.publish(images.to_msg(image, Header(stamp=stamp(3.0))))
    first = goals.wait()
    assert first.goal_id and first.header.stamp == stamp(3.0)
    reply = world.call(
        SetGoal, "encoder/set_goal", SetGoal.Request(goal_image=images.to_msg(image, Header()))
    )
    assert reply.success and reply.goal_id != first.goal_id
    late = world.listen(Goal, "goal", qos.GOAL_READER)
    assert late.wait(lambda m: m.goal_id == reply.goal_id).embedding.latent == first.embedding.latent
    foreign = world.call(
        SetGoal,
        "encoder/set_goal",
        SetGoal.Request(use_embedding=True, goal_embedding=Embedding(encoder_id="other")),
    )
    assert not foreign.success and "'other'" in foreign.message


@pytest.mark.parametrize(
    "parameters, says",
    [
        ({}, "checkpoint is empty"),
        ({"checkpoint": "/nowhere"}, "/nowhere: there is no config.json"),
        ({"checkpoint": "good", "device": "tpu9"}, "device is 'tpu9'"),
        ({"checkpoint": "good", "robot.block": 5}, "block"),
    ],
)
def test_bad_checkpoint_or_robot_stays_unconfigured_and_says_why(world, checkpoint, parameters, says):
    parameters = {k: checkpoint if v == "good" else v for k, v in parameters.items()}
    node = world.make(EncoderNode, start=False, parameters=parameters)
    assert not world.in_executor(node.start)
    assert says in node.failure and node._state_machine.current_state[1] == "unconfigured"


def test_broken_weights_name_the_file(world, tmp_path):
    folder = make_checkpoint(tmp_path / "c", make_spec())
    weights = tmp_path / "c" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    node = world.make(EncoderNode, start=False, parameters={"checkpoint": folder})
    assert not world.in_executor(node.start) and str(weights) in node.failure
