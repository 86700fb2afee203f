"""Batches come in order, ahead of their use where that helps, and depend on seed and step alone."""

import threading

import numpy as np
import pytest
import torch
from dot_world import EPISODES, SPEC, config

from jepa_ros.training import trainer
from jepa_ros.training.batches import batches, made_ahead, training_batch
from jepa_ros.training.distributed import Ranks
from jepa_ros.training.pace import Pace


def test_what_is_made_ahead_comes_in_order_and_is_begun_before_it_is_asked_for():
    begun = [threading.Event() for _ in range(20)]

    def make(step: int) -> int:
        begun[step].set()
        if step == 2:  # the others overtake it
            assert begun[5].wait(30)
        return step

    coming = made_ahead(make, range(20), ahead=4)
    assert next(coming) == 0
    assert begun[4].wait(30) and not begun[19].is_set()
    assert list(coming) == list(range(1, 20))


def test_what_goes_wrong_ahead_is_told_when_it_is_asked_for():
    coming = made_ahead(lambda step: 1 // (2 - step), range(10))
    assert [next(coming), next(coming)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(coming)


@pytest.mark.parametrize("augmentation", ["none", "views"])
def test_a_batch_depends_on_seed_and_step_alone(augmentation):
    settings = config(augmentation=augmentation)
    clips = trainer.split_episodes(EPISODES, SPEC, settings).train
    run = list(batches(clips, settings, range(4)))
    (resumed, seed), (other, _) = batches(clips, settings, range(2, 4))
    assert seed == run[2][1] and len({seed for _, seed in run}) == 4
    for x, y in zip(run[2][0], resumed, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=0)
    assert (other[0] != resumed[0]).any()

    def alone(step: int):
        return training_batch(clips, settings, np.random.default_rng([settings.seed, step]))

    for (batch, _), ahead in zip(run, made_ahead(alone, range(4)), strict=True):
        for x, y in zip(batch, ahead, strict=True):
            torch.testing.assert_close(x, y, rtol=0, atol=0)


@pytest.mark.parametrize("augmentation", ["none", "views"])
def test_processes_share_out_the_batch_of_one_and_keep_both_views_together(augmentation):
    settings = config(augmentation=augmentation)
    clips = trainer.split_episodes(EPISODES, SPEC, settings).train
    whole, parts = (
        [training_batch(clips, settings, np.random.default_rng(5), ranks) for ranks in several]
        for several in ([Ranks()], [Ranks(0, 2), Ranks(1, 2)])
    )
    views = 1 if augmentation == "none" else 2
    for one, halves in zip(whole[0], zip(*parts, strict=True), strict=True):
        joint = torch.cat([half.unflatten(0, (views, -1)) for half in halves], 1).flatten(0, 1)
        torch.testing.assert_close(joint, one, rtol=0, atol=0)


def test_pace_counts_images_and_the_time_spent_on_data(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("jepa_ros.training.pace.time.perf_counter", lambda: now[0])

    def slow():
        while True:
            now[0] += 1.0
            yield "batch"

    pace, coming = Pace(100, steps=10, seconds=90.0, data_seconds=1.0), slow()
    for _ in range(2):
        assert pace.next(coming) == "batch"
        now[0] += 4.0
    assert pace.row() == pytest.approx({"images_per_second": 20.0, "data_share": 0.2})
    assert pace.seconds == 100.0
    assert pace.total() == pytest.approx({"images_per_second": 12.0, "data_share": 0.03})
    pace.next(coming)
    now[0] += 9.0
    assert pace.row() == pytest.approx({"images_per_second": 10.0, "data_share": 0.1})
