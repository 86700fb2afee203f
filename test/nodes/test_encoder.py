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
from jepa_ros.errors import JepaError
from jepa_ros.nodes.base.diagnostics import Report
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


def test_wrong_image_size_is_named_and_the_next_image_encoded(world, checkpoint, image):
    world.make(EncoderNode, parameters={"checkpoint": checkpoint})
    embeddings, camera = world.listen(Embedding, "embedding"), world.talk(Image, "image")
    short = images.to_msg(image, Header(frame_id="short"))
    short.height = 128
    good = images.to_msg(image, Header(frame_id="good"))
    reply = world.call(EncodeImage, "encoder/encode", EncodeImage.Request(image=short))
    assert not reply.success and "height 128" in reply.message and "rgb8" in reply.message
    logs = world.said()
    camera.publish(short)
    logs.wait(lambda log: "image: image of encoding 'rgb8'" in log.msg)
    camera.publish(good)
    assert embeddings.wait().header.frame_id == "good"


def test_compressed_images(world, checkpoint, image):
    world.make(EncoderNode, parameters={"checkpoint": checkpoint, "image_transport": "compressed"})
    embeddings, camera = world.listen(Embedding, "embedding"), world.talk(CompressedImage, "image/compressed")
    camera.publish(images.to_compressed_msg(image, Header(stamp=stamp(1.0)), "png"))
    np.testing.assert_allclose(
        tensor.from_msg(embeddings.wait().latent), latent_of(checkpoint, image), atol=1e-5
    )


def seconds(stamp_):
    return stamp_.sec + 1e-9 * stamp_.nanosec


def frames(world, checkpoint, shots, **parameters):
    """The embeddings of (stamp s, image) pairs, in order, and the encoder."""
    node = world.make(EncoderNode, parameters={"checkpoint": checkpoint} | parameters)
    embeddings, camera = world.listen(Embedding, "embedding"), world.talk(Image, "image")
    found = []
    for at, image in shots:
        camera.publish(images.to_msg(image, Header(stamp=stamp(at))))
        found.append(embeddings.wait(lambda m, at=at: m.header.stamp == stamp(at)))
    return found, node


def nearly(image):
    """Another picture that hardly differs."""
    other = image.copy()
    other[7, 7] ^= 1
    return other


def test_pictures_that_hardly_differ_are_encoded_once_and_carry_their_own_stamps(world, checkpoint, image):
    block_s = make_spec().block * make_spec().dt
    other = np.roll(image, 3, axis=0)
    shots = [
        (10.0, image),
        (10.1, nearly(image)),
        (10.2, other),
        (10.3, nearly(other)),
        (10.2 + block_s, nearly(other)),
    ]
    found, node = frames(world, checkpoint, shots)
    assert [seconds(m.encoded_stamp) for m in found] == pytest.approx(
        [10.0, 10.0, 10.2, 10.2, 10.2 + block_s]
    )
    assert found[1].latent == found[0].latent and found[2].latent != found[0].latent
    assert found[3].latent == found[2].latent != found[4].latent  # no longer than a block
    np.testing.assert_allclose(tensor.from_msg(found[2].latent), latent_of(checkpoint, other), atol=1e-4)
    report = Report("encoder", "")
    node._diagnose(report)
    values = {v.key: v.value for v in report.message(stamp(0), "").status[0].values}
    assert (values["image: skipped"], values["image: skipped_share"]) == ("2", "0.4")


def test_the_very_same_picture_is_never_encoded_again(world, checkpoint, image):
    found, node = frames(world, checkpoint, [(1.0, image), (99.0, image), (2.0, image)])
    assert [m.encoded_stamp for m in found] == [
        m.header.stamp for m in found
    ]  # it is this picture's latent, too
    assert node._skipped.count == 2
    assert all(m.latent == found[0].latent and m.encode_ms > 0 for m in found)


def test_a_picture_that_hardly_differs_refers_to_the_newest_that_has_the_latent(world, checkpoint, image):
    shots = [(1.0, image), (1.2, image), (1.3, nearly(image)), (1.45, nearly(image))]
    found, _ = frames(world, checkpoint, shots)
    # Encoding was at 1.0: at 1.45 a block has passed, whether or not the picture was repeated since.
    assert [seconds(m.encoded_stamp) for m in found] == pytest.approx([1.0, 1.2, 1.2, 1.45])


def test_with_a_threshold_of_0_every_image_is_encoded(world, checkpoint, image):
    found, _ = frames(
        world, checkpoint, [(1.0, image), (1.1, image), (1.2, nearly(image))], skip_threshold=0.0
    )
    assert [m.encoded_stamp for m in found] == [stamp(at) for at in (1.0, 1.1, 1.2)]


def test_goals_are_always_encoded(world, checkpoint, image):
    frames(world, checkpoint, [(1.0, image)])
    goals, goal_image = world.listen(Goal, "goal", qos.GOAL_READER), world.talk(Image, "goal_image")
    goal_image.publish(images.to_msg(nearly(image), Header(stamp=stamp(1.1))))
    goal = goals.wait().embedding
    request = EncodeImage.Request(image=images.to_msg(nearly(image), Header(stamp=stamp(1.2))))
    served = world.call(EncodeImage, "encoder/encode", request).embedding
    assert (goal.encoded_stamp, served.encoded_stamp) == (stamp(1.1), stamp(1.2))
    np.testing.assert_allclose(tensor.from_msg(goal.latent), latent_of(checkpoint, nearly(image)), atol=1e-5)


def test_a_bad_skip_threshold_is_refused_with_its_bounds(world, checkpoint):
    with pytest.raises(JepaError, match=r"skip_threshold is -1.0; it must lie in \[0.0, 255.0\]"):
        world.make(EncoderNode, start=False, parameters={"checkpoint": checkpoint, "skip_threshold": -1.0})


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
