"""Clips come by the weight of their share, whatever number of them there is; shares that do not fit are named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jepa_ros.data.action_spec import ActionSpec
from jepa_ros.data.dataset import ClipDataset
from jepa_ros.data.episodes import Episode
from jepa_ros.data.mixture import mixture_table, read_mixture, require_every_share, shared_out
from jepa_ros.errors import JepaError

SPEC = ActionSpec(("x",), (-0.1,), (0.1,), (-1.0,), (1.0,), block=2)


def episode(index: int, source: str, task: str = "", frames: int = 20) -> Episode:
    """All of whose joint positions are its index."""
    return Episode(
        np.zeros((frames, 4, 4, 3), np.uint8),
        np.full((frames, 1), index, np.float32),
        np.zeros((frames, 1), np.float32),
        np.arange(frames) / 10,
        source,
        {"task": task} if task else {},
    )


MANY = [episode(i, f"bags/reach/{i}", "reach") for i in range(9)]
FEW = [episode(9, "bags/cube/0", "push")]


@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize("length", [4, 3])
def test_drawn_clips_have_the_shares_of_the_mixture(views, length):
    mixture = {"reach": 1.0, "push": 3.0}
    clips = ClipDataset(shared_out([*MANY, *FEW], mixture, ["bags"]), SPEC, 4, mixture).shortened(length)
    draw = clips.sample_views if views else clips.sample
    _, proprio, _ = draw(8000, np.random.default_rng(0))
    drawn = proprio[:, 0, 0].numpy()
    assert (drawn == 9).mean() == pytest.approx(0.75, abs=0.02)
    assert np.bincount(drawn.astype(int))[:9] / 8000 == pytest.approx(0.25 / 9, abs=0.01)


def test_within_a_share_every_clip_is_as_likely_as_another():
    uneven = [episode(0, "a/0", frames=7), episode(1, "a/1", frames=16), episode(2, "b/0")]
    mixture = {"a": 1.0, "b": 1.0}
    clips = ClipDataset(shared_out(uneven, mixture, ["a", "b"]), SPEC, 4, mixture)
    _, proprio, _ = clips.sample(8000, np.random.default_rng(1))
    counts = np.bincount(proprio[:, 0, 0].numpy().astype(int)) / 8000
    assert counts == pytest.approx([0.5 / 11, 5 / 11, 0.5], abs=0.02)


def test_without_a_mixture_clips_are_drawn_as_they_always_were():
    clips = ClipDataset([*MANY, *FEW], SPEC, 4)
    indices = np.random.default_rng(5).integers(len(clips), size=32)
    _, expected, _ = clips.batch(indices)
    _, drawn, _ = clips.sample(32, np.random.default_rng(5))
    np.testing.assert_array_equal(drawn, expected)


def test_a_process_gets_its_part_of_the_joint_draw():
    mixture = {"reach": 1.0, "push": 1.0}
    clips = ClipDataset(shared_out([*MANY, *FEW], mixture, ["bags"]), SPEC, 4, mixture)
    _, whole, _ = clips.sample(16, np.random.default_rng(2))
    _, part, _ = clips.sample(16, np.random.default_rng(2), slice(8, 16))
    np.testing.assert_array_equal(whole[8:], part)


def test_a_share_is_a_folder_as_given_its_last_part_or_a_task(tmp_path):
    episodes = [*MANY, *FEW, episode(10, "more/reach/0", "reach"), episode(11, "bags/scenes/0", "reach")]
    folders = ["bags/reach", "bags/cube", "more/reach", "bags/scenes"]

    def shares(**mixture):
        found = shared_out(episodes, {k.replace("__", "/"): v for k, v in mixture.items()}, folders)
        return [found[i].share for i in (0, 9, 10, 11)]

    assert shares(reach=1, push=1) == ["reach", "push", "reach", "reach"]
    assert shares(reach=1, cube=1, scenes=2) == ["reach", "cube", "reach", "scenes"]
    assert shares(more__reach=1, reach=1, push=1) == ["reach", "push", "more/reach", "reach"]
    # nested folders: the innermost; a folder given as "." has the name it has on disk
    nested = shared_out([*MANY, *FEW], {"cube": 1, "bags": 1}, ["bags", "bags/cube/"])
    assert [e.share for e in nested] == 9 * ["bags"] + ["cube"]
    here = replace(FEW[0], source=str(Path(tmp_path, "episode_0")))
    assert shared_out([here], {tmp_path.name: 1}, [str(tmp_path)])[0].share == tmp_path.name


def test_shares_that_do_not_fit_are_named():
    with pytest.raises(JepaError, match="folder or the task of bags/cube/0 .folder bags, task push"):
        shared_out([*MANY, *FEW], {"reach": 1.0}, ["bags"])
    with pytest.raises(JepaError, match="no episode for slide"):
        shared_out(MANY, {"reach": 1.0, "slide": 1.0}, ["bags"])
    with pytest.raises(JepaError, match="no episode for push"):
        require_every_share(MANY, {"push": 1.0})
    assert shared_out(MANY, {}, ["bags"]) == MANY


def test_mixture_words_are_read_or_refused():
    assert (
        read_mixture(["bags/a=b=2", "push=0.5"]) == {"bags/a=b": 2.0, "push": 0.5} and read_mixture([]) == {}
    )
    for word in ("reach", "=1", "reach=", "reach=much", "reach=0", "reach=-1", "reach=nan", "reach=inf"):
        with pytest.raises(JepaError, match="write NAME=WEIGHT"):
            read_mixture([word])
    with pytest.raises(JepaError, match="reach has two weights"):
        read_mixture(["reach=1", "reach=2"])


def test_the_table_says_what_each_share_is_and_how_much_is_drawn_of_it():
    mixture = {"reach": 1.0, "push": 3.0}
    table = mixture_table(shared_out([*MANY, *FEW], mixture, ["bags"]), mixture).splitlines()
    assert [row.split() for row in table[1:]] == [["reach", "9", "180", "25%"], ["push", "1", "20", "75%"]]
