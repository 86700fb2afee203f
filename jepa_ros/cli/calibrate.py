"""`jepa calibrate`: a checkpoint and bags in, calibration.json beside the checkpoint's weights out."""

import argparse

from jepa_ros.cli.checkpoint_data import add_checkpoint_data, read_split
from jepa_ros.errors import JepaError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `jepa calibrate`."""
    add_checkpoint_data(parser)


def run(args: argparse.Namespace) -> int:
    """Read the bags, measure, write calibration.json, print the figures."""
    from jepa_ros.training.calibration import calibrate
    from jepa_ros.world_model.checkpoint import CALIBRATION, load_checkpoint, save_calibration

    checkpoint = load_checkpoint(args.checkpoint)
    split, report = read_split(checkpoint, args)
    calibration = calibrate(checkpoint.model.to(args.device), split.train, split.validation, report.digest)
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
        ("arm read from the picture", calibration.joint_readout.quantiles),
    ):
        print(f"{label:28s}" + "".join(f"{values[name]:9.4g}" for name in names))
    print(f"calibration: {args.checkpoint / CALIBRATION}")
    return 0
