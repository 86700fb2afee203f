"""Short-term memory pads at the start, keeps blocks between their frames, and forgets what it must."""

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.errors import JepaError
from jepa_ros.planning.distance import latent_distance
from jepa_ros.planning.memory import ShortTermMemory

SPEC = ActionSpec(
    joint_names=("a", "b"),
    lower=(-1, -1),
    upper=(1, 1),
    block=3,
    position_lower=(-2, -2),
    position_upper=(2, 2),
)
D = 5


def frame(value):
    return np.full(D, float(value)), np.full(2, 0.1 * value)


def block(value):
    return np.full(6, float(value))


def test_empty_memory_is_not_ready_and_says_what_to_do():
    memory = ShortTermMemory(SPEC, 3)
    assert not memory.ready and len(memory) == 0
    with pytest.raises(JepaError, match="push a frame first"):
        memory.context()
    with pytest.raises(JepaError, match="needs a frame before it"):
        memory.record_action(block(1))


def test_pads_with_the_first_frame_and_no_motion():
    memory = ShortTermMemory(SPEC, 3)
    memory.push(*frame(1), stamp=10.0)
    context = memory.context()
    assert (context.latents.shape, context.proprio.shape, context.actions.shape) == ((3, D), (3, 2), (2, 6))
    assert context.latents.dtype == context.proprio.dtype == context.actions.dtype == np.float32
    assert np.all(context.latents == 1) and not np.any(context.actions)
    assert (context.real, context.stamp) == (1, 10.0)


def test_blocks_lie_between_their_frames_oldest_first():
    memory = ShortTermMemory(SPEC, 3)
    for value in range(1, 6):
        memory.push(*frame(value), stamp=float(value))
        memory.record_action(block(value))
    context = memory.context()
    np.testing.assert_array_equal(context.latents[:, 0], [3, 4, 5])
    np.testing.assert_allclose(context.proprio[:, 0], [0.3, 0.4, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(context.actions[:, 0], [3, 4])
    assert context.real == 3


def test_padding_comes_before_a_real_block():
    memory = ShortTermMemory(SPEC, 4)
    memory.push(*frame(1), stamp=1.0)
    memory.record_action(block(7))
    memory.push(*frame(2), stamp=2.0)
    context = memory.context()
    np.testing.assert_array_equal(context.latents[:, 0], [1, 1, 1, 2])
    np.testing.assert_array_equal(context.actions[:, 0], [0, 0, 7])
    assert context.real == 2


def test_a_frame_without_a_block_before_it_means_the_arm_was_held():
    memory = ShortTermMemory(SPEC, 2)
    memory.push(*frame(1), stamp=1.0)
    memory.push(*frame(2), stamp=2.0)
    assert not np.any(memory.context().actions)


def test_the_last_word_on_a_block_counts_and_block_may_be_k_by_a():
    memory = ShortTermMemory(SPEC, 2)
    memory.push(*frame(1), stamp=1.0)
    memory.record_action(block(3))
    memory.record_action(np.arange(6).reshape(3, 2))
    memory.push(*frame(2), stamp=2.0)
    np.testing.assert_array_equal(memory.context().actions[0], np.arange(6))


def test_the_same_stamp_replaces_the_newest_frame():
    memory = ShortTermMemory(SPEC, 2)
    memory.push(*frame(1), stamp=1.0)
    memory.push(*frame(2), stamp=1.0)
    assert len(memory) == 1 and memory.context().latents[-1, 0] == 2


def test_time_going_back_is_an_error_and_reset_allows_it():
    memory = ShortTermMemory(SPEC, 2)
    memory.push(*frame(1), stamp=5.0)
    with pytest.raises(JepaError, match="came after one of 5.0 s; reset"):
        memory.push(*frame(2), stamp=4.0)
    memory.reset()
    memory.push(*frame(2), stamp=4.0)
    assert memory.context().real == 1


def test_a_gap_starts_anew():
    memory = ShortTermMemory(SPEC, 3, max_gap_s=1.0)
    memory.push(*frame(1), stamp=1.0)
    memory.push(*frame(2), stamp=2.0)
    assert memory.context().real == 2
    memory.push(*frame(3), stamp=3.5)
    context = memory.context()
    assert context.real == 1 and np.all(context.latents == 3)


def test_context_of_one_frame_has_no_actions():
    memory = ShortTermMemory(SPEC, 1)
    memory.push(*frame(1), stamp=1.0)
    assert memory.context().actions.shape == (0, 6)


def test_the_memory_owns_its_arrays():
    memory, (latent, proprio) = ShortTermMemory(SPEC, 1), frame(1)
    memory.push(latent, proprio, stamp=1.0)
    latent[:], proprio[:] = 99, 99
    assert np.all(memory.context().latents == 1)


@pytest.mark.parametrize(
    "latent, proprio, message",
    [
        (np.full(D, np.nan), np.zeros(2), "latent must be finite"),
        (np.zeros((1, D)), np.zeros(2), "latent must be finite, of one axis"),
        (np.zeros(D + 1), np.zeros(2), "as wide as those before"),
        (np.zeros(D), np.zeros(3), "joint positions must be 2"),
        (np.zeros(D), np.array([0.0, np.inf]), "joint positions must be 2"),
    ],
)
def test_bad_frames_are_refused(latent, proprio, message):
    memory = ShortTermMemory(SPEC, 2)
    memory.push(*frame(1), stamp=1.0)
    with pytest.raises(JepaError, match=message):
        memory.push(latent, proprio, stamp=2.0)
    assert len(memory) == 1


def test_bad_blocks_and_contexts_are_refused():
    with pytest.raises(JepaError, match="context is 0"):
        ShortTermMemory(SPEC, 0)
    memory = ShortTermMemory(SPEC, 2)
    memory.push(*frame(1), stamp=1.0)
    with pytest.raises(JepaError, match="a block must be 6 finite"):
        memory.record_action(np.zeros(4))


def test_latent_distance_is_the_root_mean_square():
    assert latent_distance(np.array([1.0, 2.0, 3.0, 4.0], np.float32), np.array([1.0, 2.0, 3.0, 0.0])) == 2.0
