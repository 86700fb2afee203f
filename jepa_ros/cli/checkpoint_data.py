"""What commands share that go on from a finished checkpoint: its folder, bags, and the same episodes held out as then."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jepa_ros.cli.reading_options import add_reading_options, chosen_cache
from jepa_ros.cli.topic_options import add_topic_options, chosen_topics

if TYPE_CHECKING:
    from jepa_ros.data.episodes import Episode
    from jepa_ros.data.load_report import LoadReport
    from jepa_ros.training.trainer import Split
    from jepa_ros.world_model.checkpoint import Checkpoint


def add_checkpoint_data(parser: argparse.ArgumentParser) -> None:
    """--checkpoint, --bags and how they are read, --device, --threads."""
    parser.add_argument(
        "--checkpoint", required=True, type=Path, metavar="CKPT", help="the checkpoint directory"
    )
    parser.add_argument(
        "--bags",
        nargs="+",
        required=True,
        metavar="DIR",
        help="bags, or folders of bags; best those of the training, so that its held-out episodes are held out",
    )
    add_topic_options(parser)
    add_reading_options(parser)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")


def read_split(checkpoint: Checkpoint, args: argparse.Namespace) -> tuple[Split, LoadReport]:
    """The bags' clips, held out as in the training where they are its bags; prints what was read. Sets torch's threads."""
    import torch

    from jepa_ros.data.bag_reader import read_episodes
    from jepa_ros.data.episodes import of_behaviours
    from jepa_ros.training.config import TrainingConfig
    from jepa_ros.training.trainer import split_episodes

    model = checkpoint.model
    config = TrainingConfig(
        model=model.config, device=args.device, threads=args.threads, **split_settings(checkpoint.config)
    )
    torch.set_num_threads(config.threads)
    episodes, report = read_episodes(
        args.bags,
        checkpoint.spec,
        model.image_size,
        topics=chosen_topics(args),
        boundaries=args.boundaries,
        cache=chosen_cache(args),
        progress=True,
    )
    print(report)
    data = checkpoint.config.get("data") or {}
    if data.get("behaviours") and report.digest == data.get("digest"):
        print(f"as in the training, behaviours {', '.join(data['behaviours'])} alone")
        episodes = of_behaviours(episodes, data["behaviours"])
    print(compare_data(report.digest, episodes, data))
    return split_episodes(episodes, checkpoint.spec, config), report


def split_settings(config: dict) -> dict:
    """Clip length and held-out share of the training, so that the same episodes are held out."""
    training = config.get("training") or {}
    return {key: training[key] for key in ("clip", "validation") if key in training}


def compare_data(digest: str, episodes: Sequence[Episode], trained_on: dict) -> str:
    """digest, episodes: what the bags gave.  trained_on: digest, episodes and frames of the training."""
    if digest != trained_on.get("digest"):
        return (
            f"these are not the bags the checkpoint was trained on ({trained_on.get('digest', 'unknown')}): "
            "what counts as normal is what these bags show"
        )
    counts = (trained_on.get("episodes"), trained_on.get("frames"))
    if (len(episodes), sum(map(len, episodes))) != counts:
        return (
            f"these are the bags the checkpoint was trained on, but training read {counts[0]} episodes "
            f"of {counts[1]} frames from them: give its --boundaries and topics to hold the same ones out"
        )
    return "these are the bags the checkpoint was trained on: the same episodes are held out as there"
