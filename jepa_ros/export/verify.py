"""Whether ONNX Runtime computes what torch does: the live functions of model and energy beside an export's graphs."""

from collections.abc import Callable

import numpy as np
import torch

from jepa_ros.costs.energy import Energy
from jepa_ros.costs.rollouts import Rollouts
from jepa_ros.errors import JepaError
from jepa_ros.export.runtime import OnnxModel
from jepa_ros.planning.protocols import REDUCTIONS
from jepa_ros.world_model.model import WorldModel

TOLERANCE = 1e-4
"""Greatest |onnx - torch| / max(1, |torch|) of any number. Latents have unit variance, energies are of order 1; the goal
tolerance of the shipped checkpoint is 0.06."""
SAMPLES = (1, 2, 7, 64)


def random_images(size: tuple[int, int], count: int = 8, seed: int | None = 0) -> np.ndarray:
    """(count, h, w, 3) uint8: black, white, and noise between bounds that differ. seed: None draws what nobody foresees."""
    rng = np.random.default_rng(seed)
    noise = [
        rng.integers(rng.integers(100), rng.integers(101, 256), (*size, 3), np.uint8)
        for _ in range(count - 2)
    ]
    return np.stack([np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8), *noise])


def rendered_images(size: tuple[int, int], count: int = 8, seed: int = 0) -> np.ndarray:
    """(count, h, w, 3) uint8: the simulated arm in poses of the task `reach`; JepaError where nothing can render."""
    from jepa_ros.simulation.simulator import Simulator
    from jepa_ros.simulation.tasks import make_task

    task, rng = make_task("reach"), np.random.default_rng(seed)
    with Simulator("reach", image_size=size) as simulator:
        return np.stack([simulator.goal_image(task.sample_goal(rng)) for _ in range(count)])


def deviations(
    model: WorldModel,
    onnx: OnnxModel,
    images: np.ndarray,
    samples: tuple[int, ...] = SAMPLES,
    seed: int = 0,
) -> dict[str, float]:
    """Graph of the export to the greatest deviation from torch (TOLERANCE says which measure), NaN where either has NaN.

    images (N, h, w, 3) uint8, N at least T + 1: their latents are contexts and goals. Joint positions and actions are
    drawn within the ActionSpec's bounds, horizons are that of the rollout graph and one other. `plan` is a whole
    evaluation, images to energies, by each runtime alone.
    """
    rng, spec, context = np.random.default_rng(seed), model.spec, model.context
    found: dict[str, list[float]] = {}

    def note(graph: str, ours: np.ndarray, theirs: torch.Tensor) -> None:
        theirs = theirs.cpu().numpy()
        if ours.shape != theirs.shape:
            raise JepaError(f"{graph}.onnx gives {ours.shape} where torch gives {theirs.shape}")
        found.setdefault(graph, []).append(
            float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))))
        )

    def draw(lower, upper, *shape) -> np.ndarray:
        repeats = shape[-1] // spec.dim
        return rng.uniform(np.tile(lower, repeats), np.tile(upper, repeats), shape).astype(np.float32)

    with torch.inference_mode():
        encoded = _on(model, model.encode)(images)
        note("encoder", onnx.encode(images), encoded)
        note("encoder", onnx.encode(images[:1]), _on(model, model.encode)(images[:1]))
        latents, own = encoded.cpu().numpy(), onnx.encode(images)
        for count in samples:
            for horizon in (onnx.horizon, onnx.horizon + 1):
                chosen = rng.integers(len(images), size=context + 1)
                proprio = draw(spec.position_lower, spec.position_upper, context, spec.dim)
                past = draw(spec.lower, spec.upper, context - 1, spec.block_dim)
                actions = draw(spec.lower, spec.upper, count, horizon, spec.block_dim)
                start, goal = latents[chosen[:-1]], latents[chosen[-1]]

                theirs = _on(model, model.rollout)(start, proprio, past, actions)
                graph = "rollout" if horizon == onnx.horizon else "predictor"
                for ours, expected in zip(onnx.rollout(start, proprio, past, actions), theirs, strict=True):
                    note(graph, ours, expected)

                imagined = onnx.rollout(own[chosen[:-1]], proprio, past, actions)
                for weights in (onnx.weights, {name: rng.uniform(0.1, 2) for name in onnx.weights}):
                    for reduction in REDUCTIONS:
                        result = Energy(spec, weights).evaluate(
                            Rollouts(*theirs, _on(model, torch.clone)(actions)),
                            _on(model, torch.clone)(goal),
                            reduction,
                        )
                        futures = [part.cpu().numpy() for part in theirs]
                        totals, shares = onnx.costs(*futures, actions, goal, reduction, weights)
                        note("costs", totals, result.totals)
                        for name, share in result.terms.items():
                            note("costs", shares[name], share)
                        whole, _ = onnx.costs(*imagined, actions, own[chosen[-1]], reduction, weights)
                        note("plan", whole, result.totals)
    return {graph: float(np.max(values)) for graph, values in found.items()}


def require_equal(found: dict[str, float], tolerance: float, where: str) -> None:
    """JepaError with every graph's deviation where one is above the tolerance, or not a number."""
    beyond = [graph for graph, value in found.items() if not value <= tolerance]
    if beyond:
        figures = ", ".join(f"{graph} {value:.2g}" for graph, value in found.items())
        raise JepaError(
            f"{where}: ONNX Runtime and torch differ by more than {tolerance:g} in {', '.join(beyond)} ({figures}); "
            "nothing of it is used"
        )


def _on(model: WorldModel, function: Callable) -> Callable:
    """``function`` of arrays, on the model's device."""
    device = model.proprio_mean.device
    return lambda *arrays: function(*(torch.tensor(array, device=device) for array in arrays))
