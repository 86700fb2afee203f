"""One process of several that train together; test_distributed.py starts them.

python one_of_several.py gradients|lose_one FOLDER
"""

import os
import signal
import sys
from pathlib import Path

import torch
from dot_world import DATA, EPISODES, SPEC, config

from jepa_ros.errors import JepaError
from jepa_ros.training import trainer
from jepa_ros.training.batches import batches
from jepa_ros.training.distributed import ALONE, Ranks, join
from jepa_ros.world_model.losses import LossConfig, TargetEncoder, jepa_loss
from jepa_ros.world_model.model import WorldModel

CASES = [(a, v, 0) for a in ("sigreg", "vicreg", "ema") for v in ("none", "views")] + [("sigreg", "views", 3)]
STEPS = {"steps": 4, "save_every": 2, "log_every": 1, "augmentation": "views"}


def loss_and_gradients(
    anti_collapse: str, augmentation: str, slow_dims: int, ranks: Ranks = ALONE
) -> tuple[dict, dict]:
    """Of the first step of a run: the loss and its terms, and the gradient of every parameter."""
    loss = LossConfig(anti_collapse=anti_collapse, slow_dims=slow_dims)
    settings = config(loss=loss, augmentation=augmentation)
    split = trainer.split_episodes(EPISODES, SPEC, settings)
    torch.manual_seed(0)
    model = WorldModel(settings.model, split.spec)
    target = TargetEncoder(model.encoder, 0.99) if anti_collapse == "ema" else None
    batch, seed = next(batches(split.train, settings, range(1), ranks))
    torch.manual_seed(seed)
    loss, terms, latents = jepa_loss(
        model, *batch, settings.loss, target, two_views=augmentation == "views", across=ranks.mean
    )
    loss.backward()
    ranks.average_gradients(model)
    values = {k: ranks.mean(v.detach()) for k, v in {"loss": loss, **terms}.items()}
    values["latents"] = ranks.gather(latents)
    return values, {name: p.grad.clone() for name, p in model.named_parameters()}


def main() -> None:
    task, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    ranks = join("cpu")
    if task == "gradients":
        found = {case: loss_and_gradients(*case, ranks) for case in CASES}
        torch.save(found, folder / f"rank_{ranks.rank}.pt")
        ranks.leave()
    else:
        trainer.jepa_loss = deadly(trainer.jepa_loss, 4 if ranks.rank == 1 else 0)
        trainer.train(EPISODES, SPEC, folder, config(**STEPS), DATA, ranks)


def deadly(function, call: int):
    """The function, of which a call kills the process."""
    calls = 0

    def called(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return called


if __name__ == "__main__":
    try:
        main()
    except JepaError as error:
        sys.exit(f"error: {error}")
