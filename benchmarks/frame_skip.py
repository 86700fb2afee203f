"""What the encoder saves by skipping images that hardly differ from the last encoded one, and what that hides.

Episodes of the planner, filmed at 30 Hz while the arm moves and for 2 s at rest after it; sensor noise is added
at the camera's size. Hidden is the latent distance between a skipped image's own latent and the one that stands
for it; `noise` is that distance between two images of one and the same scene, which no encoder can tell from
motion. Both in units of the checkpoint's goal tolerance. Writes a JSON file, and prints its table.

    OMP_NUM_THREADS=1 python benchmarks/frame_skip.py --json docs/results/frame_skip.json
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from offline_process import where_and_when

from jepa_ros.costs.energy import Energy
from jepa_ros.data.frame_change import CELLS, FrameSkip
from jepa_ros.data.images import resize
from jepa_ros.evaluation.agents import PlannerAgent
from jepa_ros.evaluation.closed_loop import run_episode
from jepa_ros.evaluation.simulated_arm import TICK_S
from jepa_ros.planning.config import PlannerConfig
from jepa_ros.planning.distance import latent_distance
from jepa_ros.simulation.simulator import Simulator
from jepa_ros.simulation.tasks import make_task
from jepa_ros.world_model.checkpoint import Checkpoint, load_checkpoint

RATE_HZ, REST_S, BLOCKS = 30.0, 2.0, 30
CAMERA = (480, 640)
THRESHOLDS = (0.5, 1.0, 2.0, 3.0, 4.0, 8.0, 16.0)
CONDITIONS = {  # name: (whether the noise is the large camera's, its standard deviation, of 255)
    "no noise": (False, 0),
    "640x480, noise 5": (True, 5),
    "640x480, noise 12": (True, 12),
    "64x64, noise 5": (False, 5),
    "64x64, noise 12": (False, 12),
}


class FilmedSimulator(Simulator):
    """Keeps an image every 1 / RATE_HZ s of an episode."""

    def reset(self, *start):
        super().reset(*start)
        self.images, self._next = [], 0.0

    def advance(self, seconds):
        super().advance(seconds)
        if self.time >= self._next:
            self.images.append(self.render())
            self._next += 1 / RATE_HZ


def film(simulator: FilmedSimulator, agent: PlannerAgent, seed: int) -> tuple[list[np.ndarray], int]:
    """Images of an episode, and how many of them are of the arm on its way."""
    run_episode(simulator, make_task("reach"), agent, seed, BLOCKS, "planner")
    moving = len(simulator.images)
    for _ in range(round(REST_S / TICK_S)):
        simulator.advance(TICK_S)
    return simulator.images, moving


def shots(images: list[np.ndarray], at_camera: bool, sigma: float, size, rng) -> np.ndarray:
    """(N, h, w, 3) uint8 of the model's size, with the noise of the sensor."""

    def shot(image):
        image = image if at_camera else resize(image, size)
        return resize(
            np.clip(np.round(image + rng.normal(0, sigma, image.shape)), 0, 255).astype(np.uint8), size
        )

    return np.stack([shot(image) for image in images])


def skipped(pictures: np.ndarray, latents: np.ndarray, threshold: float, longest_s: float) -> np.ndarray:
    """(N,) latent distance that skipping hides at every picture; NaN where it was encoded."""
    skip, hidden, last = FrameSkip(threshold, longest_s), np.full(len(pictures), np.nan), 0
    for index, picture in enumerate(pictures):
        stamp = (index + 1) / RATE_HZ
        if skip.may_skip(picture, stamp):
            hidden[index] = latent_distance(latents[index], latents[last])
        else:
            skip.encoded(picture, stamp)
            last = index
    return hidden


def measure(
    checkpoint: Checkpoint, films: list[tuple[list[np.ndarray], int]], at_camera: bool, sigma: float
) -> dict:
    """Of one camera: the noise's own latent distance, and for every threshold what is skipped and hidden."""
    model, spec, tolerance = checkpoint.model, checkpoint.spec, checkpoint.goal_tolerance
    rng, found = np.random.default_rng(0), {threshold: ([], []) for threshold in THRESHOLDS}
    noise = []
    for images, moving in films:
        pictures = shots(images, at_camera, sigma, model.image_size, rng)
        latents = np.stack([model.embed(picture) for picture in pictures])
        again = shots(images[:1], at_camera, sigma, model.image_size, rng)[0]
        noise.append(latent_distance(latents[0], model.embed(again)) / tolerance)
        for threshold, (on_the_way, at_rest) in found.items():
            hidden = skipped(pictures, latents, threshold, spec.block * spec.dt) / tolerance
            on_the_way.append(hidden[:moving])
            at_rest.append(hidden[moving:])
    return {
        "noise": float(np.median(noise)),
        "thresholds": {
            str(threshold): {
                "skipped_moving": share(np.concatenate(on_the_way)),
                "skipped_at_rest": share(np.concatenate(at_rest)),
                "hidden": quantiles(np.concatenate(on_the_way + at_rest)),
            }
            for threshold, (on_the_way, at_rest) in found.items()
        },
    }


def share(hidden: np.ndarray) -> float:
    return round(float(np.isfinite(hidden).mean()), 4)


def quantiles(hidden: np.ndarray) -> dict:
    values = hidden[np.isfinite(hidden)]
    names = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: round(float(np.quantile(values, q)), 4) if len(values) else None for name, q in names.items()
    }


def cost_us(checkpoint: Checkpoint, pictures: np.ndarray) -> dict:
    """Medians of one call, in turns: the test of a picture that hardly differs, and encoding it."""
    skip, spent = FrameSkip(255.0, 1e9), {"test": [], "encode": []}
    skip.encoded(pictures[0], 0.0)
    for picture in np.tile(pictures[1:], (5, 1, 1, 1)):
        for name, call in (
            ("test", lambda: skip.may_skip(picture, 1.0)),
            ("encode", lambda: checkpoint.model.embed(picture)),
        ):
            began = time.perf_counter()
            call()
            spent[name].append(1e6 * (time.perf_counter() - began))
    return {name: round(float(np.median(values)), 1) for name, values in spent.items()}


def table(found: dict) -> str:
    lines = [
        f"{'camera':20}{'threshold':>10}{'moving':>9}{'at rest':>9}{'hidden p50':>12}{'p99':>7}{'max':>7}{'noise':>8}"
    ]
    for camera, figures in found.items():
        for threshold, row in figures["thresholds"].items():
            hidden = "".join(
                f"{'-' if value is None else format(value, '.2f'):>{width}}"
                for value, width in zip(row["hidden"].values(), (12, 7, 7), strict=True)
            )
            lines.append(
                f"{camera:20}{threshold:>10}{row['skipped_moving']:>9.0%}{row['skipped_at_rest']:>9.0%}{hidden}"
                f"{figures['noise']:>8.2f}"
            )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default="models/reach")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=3000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    origin, checkpoint = where_and_when(), load_checkpoint(args.checkpoint)
    simulator = FilmedSimulator("reach", CAMERA)
    agent = PlannerAgent(checkpoint, PlannerConfig(), Energy(checkpoint.spec))
    films = [film(simulator, agent, seed) for seed in range(args.seed, args.seed + args.episodes)]
    found = {name: measure(checkpoint, films, *camera) for name, camera in CONDITIONS.items()}
    cost = cost_us(
        checkpoint, shots(films[0][0][:40], False, 5, checkpoint.model.image_size, np.random.default_rng(0))
    )
    print(table(found))
    print(f"one picture: {cost['test']} us to test, {cost['encode']} us to encode")
    if args.json is not None:
        settings = {
            "episodes": args.episodes,
            "seed": args.seed,
            "rate_hz": RATE_HZ,
            "checkpoint": args.checkpoint,
        }
        content = {"settings": settings, "cells": CELLS, "cameras": found, "microseconds": cost, **origin}
        args.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
