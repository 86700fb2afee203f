"""What a bag tells of how it was recorded: which images were encoded, and when the planner searched."""

import pytest

from jepa_ros.data.recording import RecordedEmbedding, read_recording
from jepa_ros.evaluation.offline.reproduce import LiveSettings, reproduce
from jepa_ros.planning.config import PlannerConfig


@pytest.fixture
def recording(bags, checkpoint):
    return read_recording(bags[0], spec=checkpoint.spec)


def test_an_image_that_the_encoder_skipped_is_compared_by_the_one_it_encoded(recording, checkpoint):
    stamps = [int(s) for s in recording.streams.image_stamps[:12:5]]
    found = dict(recording.images(range(12), None))
    latents = [checkpoint.model.embed(found[i]) for i in (0, 5, 10)]

    def embedding(at, of, encoded):
        return RecordedEmbedding(0, stamps[at], checkpoint.model_id, latents[of], stamps[encoded])

    recording.embeddings = [embedding(0, 0, 0), embedding(1, 0, 0), embedding(2, 2, 2)]
    told = reproduce(recording, checkpoint)
    assert (told.embeddings, told.embeddings_bit_equal, told.largest_latent_difference) == (3, 3, 0.0)
    recording.embeddings[1] = embedding(1, 0, 1)
    wrong = reproduce(recording, checkpoint)
    assert (wrong.embeddings, wrong.embeddings_bit_equal) == (3, 2) and wrong.largest_latent_difference > 0


@pytest.mark.parametrize(
    "parameters, replan",
    [({"replan": "event"}, "event"), ({"replan": "always"}, "always"), ({"samples": 64}, "always")],
    ids=["event", "always", "recorded before there was a choice"],
)
def test_plans_are_repeated_as_they_were_made(recording, parameters, replan):
    recording.metadata["parameters"] = {"/jepa/planner": parameters}
    assert LiveSettings.of(recording).planner.replan == replan


def test_a_bag_that_tells_nothing_of_its_planner_is_repeated_by_the_defaults(recording):
    recording.metadata.pop("parameters", None)
    assert LiveSettings.of(recording).planner == PlannerConfig()
