"""`jepa calibrate`: a checkpoint and bags in, calibration.json beside the checkpoint's weights out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jepa_ros.cli.reading_options import add_reading_options, chosen_cache
from jepa_ros.cli.topic_options import add_topic_options, chosen_topics
from jepa_ros.errors import JepaError

if TYPE_CHECKING:
    from jepa_ros.data.load_report import LoadReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa calibrate`."""
    parser.add_argument(
        "--checkpoint", required=True, type=Path, metavar="CKPT", help="the checkpoint directory"
    )
    parser.add_argument(
        "--bags",
        nargs="+",
        required=True,
        metavar="DIR",
        help="bags, or folders of bags; best those of the training, so that its held-out episodes serve",
    )
    add_topic_options(parser)
    add_reading_options(parser)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")


def run(args: argparse.Namespace) -> int:
    """Read the bags, measure, write calibration.json, print the figures."""
    import torch

    from jepa_ros.data.bag_reader import read_episodes
    from jepa_ros.training.calibration import calibrate
    from jepa_ros.training.config import TrainingConfig
    from jepa_ros.training.trainer import split_episodes
    from jepa_ros.world_model.checkpoint import CALIBRATION, load_checkpoint, save_calibration

    checkpoint = load_checkpoint(args.checkpoint)
    spec, model = checkpoint.spec, checkpoint.model
    config = TrainingConfig(
        model=model.config, device=args.device, threads=args.threads, **split_settings(checkpoint.config)
    )
    torch.set_num_threads(config.threads)
    episodes, report = read_episodes(
        args.bags,
        spec,
        model.image_size,
        topics=chosen_topics(args),
        boundaries=args.boundaries,
        cache=chosen_cache(args),
        progress=True,
    )
    print(report)
    print(compare_data(report, checkpoint.config.get("data") or {}))
    split = split_episodes(episodes, spec, config)
    calibration = calibrate(model.to(args.device), split.train, split.validation, report.digest)
    try:
        save_calibration(args.checkpoint, calibration)
    except OSError as error:
        raise JepaError(
            f"{args.checkpoint / CALIBRATION}: cannot be written ({error.strerror}); copy the checkpoint "
            "to a folder of yours"
        ) from error
    print(
        f"\n{calibration.frames} training frames, effective rank {calibration.effective_rank:.2f} of "
        f"{calibration.latent_dim}; on {len(split.validation.images)} held-out frames:"
    )
    names = list(calibration.ood_quantiles)
    print(f"{'quantile':28s}" + "".join(f"{name:>9s}" for name in names))
    for label, values in (
        ("out of distribution", calibration.ood_quantiles),
        ("surprise, one block ahead", calibration.surprise_quantiles),
    ):
        print(f"{label:28s}" + "".join(f"{values[name]:9.4g}" for name in names))
    print(f"calibration: {args.checkpoint / CALIBRATION}")
    return 0


def split_settings(config: dict) -> dict:
    """Clip length and held-out share of the training, so that the same episodes are held out."""
    training = config.get("training") or {}
    return {key: training[key] for key in ("clip", "validation") if key in training}


def compare_data(report: LoadReport, trained_on: dict) -> str:
    """report: what the bags gave.  trained_on: digest, episodes and frames of the training."""
    if report.digest != trained_on.get("digest"):
        return (
            f"these are not the bags the checkpoint was trained on ({trained_on.get('digest', 'unknown')}): "
            "what counts as normal is what these bags show"
        )
    counts = (trained_on.get("episodes"), trained_on.get("frames"))
    if (report.episodes, report.frames) != counts:
        return (
            f"these are the bags the checkpoint was trained on, but training read {counts[0]} episodes "
            f"of {counts[1]} frames from them: give its --boundaries and topics to hold the same ones out"
        )
    return "these are the bags the checkpoint was trained on: the same episodes are held out as there"
