"""One picture to its latent."""

from jepa_ros.evaluation.bench.bench import Bench
from jepa_ros.evaluation.bench.timing import figures, interleaved

CAMERA = (480, 640)
ROUNDS = 10
"""So many times the rounds of a sweep: a picture takes little time."""


def measure(bench: Bench) -> dict:
    """rows: a picture of the model's size and a camera's, cropped and resized in the time, by runtime."""
    sizes = (tuple(bench.any_subject.model.image_size), CAMERA)
    pictures = {size: bench.any_subject.pictures(1, size)[0] for size in sizes}
    times = interleaved(
        {
            (size, runtime): lambda s=subject, p=picture: s.model.embed(p)
            for size, picture in pictures.items()
            for runtime, subject in bench.subjects.items()
        },
        ROUNDS * bench.effort.rounds,
        budget_s=bench.effort.budget_s,
    )
    return {
        "rows": [
            {"picture": f"{w}x{h}", "runtime": runtime, **figures(ms)}
            for ((h, w), runtime), ms in times.items()
        ]
    }
