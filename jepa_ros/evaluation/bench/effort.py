"""How much a run measures: a default of about five minutes on two quiet cores, and a quick one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """rounds: at most, of calls in turns.  budget_s: per sweep; no further round begins after it.

    candidates, horizons: of the growth of a plan; widths: latent, D; cameras: pictures per look.
    grid_candidates, grid_horizons: of single rollouts.
    export_widths: whether other widths are exported, too (seconds each); else ONNX Runtime has no such rows.
    goals: through the graph, per composition.  graph_candidates, graph_horizons: its further settings, the default
        beside them, each with graph_plans plans; none without graph_candidates.
    episodes: of the closed loop, per way of working.  memory_axes: along which memory is measured, a process each.
    """

    rounds: int
    budget_s: float
    candidates: tuple[int, ...]
    horizons: tuple[int, ...]
    widths: tuple[int, ...]
    cameras: tuple[int, ...]
    grid_candidates: tuple[int, ...]
    grid_horizons: tuple[int, ...]
    export_widths: bool
    goals: int
    graph_candidates: tuple[int, ...]
    graph_horizons: tuple[int, ...]
    graph_plans: int
    episodes: int
    memory_axes: tuple[str, ...]


FULL = Effort(
    rounds=30,
    budget_s=10.0,
    candidates=(16, 32, 64, 128, 256, 512, 1024),
    horizons=(1, 2, 5, 10, 20),
    widths=(32, 64, 128, 256, 512),
    cameras=(1, 2, 4),
    grid_candidates=(16, 64, 300),
    grid_horizons=(1, 2, 5, 10),
    export_widths=True,
    goals=6,
    graph_candidates=(16, 256),
    graph_horizons=(2, 10),
    graph_plans=8,
    episodes=20,
    memory_axes=("candidates", "horizon", "latent_width", "cameras"),
)
QUICK = Effort(
    rounds=4,
    budget_s=2.0,
    candidates=(16, 64, 256),
    horizons=(2, 5, 10),
    widths=(32, 64, 128),
    cameras=(1, 2),
    grid_candidates=(16, 64),
    grid_horizons=(2, 5),
    export_widths=False,
    goals=1,
    graph_candidates=(),
    graph_horizons=(),
    graph_plans=3,
    episodes=2,
    memory_axes=("candidates",),
)
