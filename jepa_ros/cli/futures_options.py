"""Options for a model that imagines several futures of every plan: how many, and how their energies become one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jepa_ros.errors import JepaError
from jepa_ros.world_model.futures import Futures

if TYPE_CHECKING:
    from jepa_ros.costs.risk import Risk

_RISK = {"risk": "kind", "risk_weight": "weight", "risk_tail": "tail"}
"""Option, and the field of Risk that it is."""


def add_futures_options(parser: argparse.ArgumentParser) -> None:
    """--futures, --risk, --risk-weight, --risk-tail: the parameters of the nodes world_model and cost; left out, theirs."""
    group = parser.add_argument_group("several futures", "for a checkpoint with a latent variable z")
    group.add_argument(
        "--futures", type=int, metavar="F", help=f"imagined of every candidate (default: {Futures.count})"
    )
    group.add_argument(
        "--risk",
        metavar="RISK",
        help="how their energies become one: mean (default), worst, or mix, of the mean and the worst share",
    )
    group.add_argument(
        "--risk-weight", type=float, metavar="W", help="of the worst share in a mix (default: 0.5)"
    )
    group.add_argument(
        "--risk-tail", type=float, metavar="T", help="what share of the futures that is (default: 0.25)"
    )


def futures_of(args: argparse.Namespace) -> Futures:
    """What was given, checked."""
    return Futures() if args.futures is None else Futures(args.futures)


def risk_of(args: argparse.Namespace) -> Risk:
    """What was given, checked."""
    from jepa_ros.costs.risk import Risk

    given = {field: getattr(args, option) for option, field in _RISK.items()}
    return Risk(**{field: value for field, value in given.items() if value is not None})


def require_codes(args: argparse.Namespace, codes: int) -> None:
    """JepaError where an option was given for a model that imagines one future, with ``codes`` 0: it would change nothing."""
    given = [name for name in ("futures", *_RISK) if getattr(args, name) is not None]
    if given and not codes:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise JepaError(
            f"{words}: what the planner imagines with has one future of every plan; leave that out, or train a "
            "checkpoint with several (jepa train --codes)"
        )
