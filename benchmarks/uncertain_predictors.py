"""Predictors on the latents of one encoder, so that what they predict can be compared: with one future, or with several."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from jepa_ros.data.dataset import ClipDataset
from jepa_ros.training.config import TrainingConfig
from jepa_ros.training.trainer import learning_rate
from jepa_ros.training.validation import encode_frames
from jepa_ros.world_model.losses import LossConfig, prediction_terms
from jepa_ros.world_model.model import WorldModel


@dataclass(frozen=True)
class PredictorTraining:
    """codes: Z, 0 for one future.  z_price: see LossConfig."""

    codes: int
    steps: int
    z_price: float
    seed: int
    batch: int = 160


def fit_predictor(base: WorldModel, clips: ClipDataset, training: PredictorTraining) -> WorldModel:
    """``base`` with a new predictor, trained on clips as a whole model is, but that the encoder stays what it is."""
    torch.manual_seed(training.seed)
    model = WorldModel(replace(base.config, codes=training.codes), base.spec)
    known = {n: t for n, t in base.state_dict().items() if not n.startswith(("predictor.", "prior."))}
    model.load_state_dict(model.state_dict() | known)
    loss = LossConfig(z_price=training.z_price)
    rates = TrainingConfig(steps=training.steps, warmup=100)
    latents = encode_frames(base, clips.images)
    parts = nn.ModuleList(part for part in (model.predictor, model.prior) if part is not None)
    optimiser = torch.optim.AdamW(parts.parameters(), rates.learning_rate, weight_decay=rates.weight_decay)
    for step in tqdm(range(training.steps), desc=f"predictor, {training.codes} codes", mininterval=2):
        rng = np.random.default_rng([training.seed, step])
        starts = clips.starts[rng.integers(len(clips.starts), size=training.batch)][:, None]
        frames = starts + clips.frame_offsets
        actions = clips.actions[starts + clips.action_offsets].reshape(len(frames), clips.length - 1, -1)
        seen = latents[torch.from_numpy(frames)]
        terms = prediction_terms(
            model,
            seen,
            seen,
            model.normalise_proprio(torch.from_numpy(clips.proprio[frames])),
            model.normalise_actions(torch.from_numpy(actions)),
            loss,
        )
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, training.steps, rates)
        optimiser.zero_grad(set_to_none=True)
        sum(getattr(loss, name) * value for name, value in terms.items()).backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimiser.step()
    return model.eval()
