"""How the energies of several futures become one: their mean, the worst, or a mix of the mean and the worst share of them."""

from dataclasses import dataclass

from torch import Tensor

from jepa_ros.errors import JepaError

RISKS = ("mean", "worst", "mix")


@dataclass(frozen=True)
class Risk:
    """kind: of RISKS.  weight: of a mix, (1 - weight) * mean + weight * CVaR.  tail: the CVaR (conditional value at risk,
    Rockafellar and Uryasev, 2000) is the mean over this share of the futures, the worst ones.

    All three are weighted means of the futures in the order of their energies (spectral risk measures, Acerbi, 2002), so that
    the shares of cost terms, weighted alike, still add up.
    """

    kind: str = "mean"
    weight: float = 0.5
    tail: float = 0.25

    def __post_init__(self):
        if self.kind not in RISKS:
            raise JepaError(f"risk is {self.kind!r}; choose one of {', '.join(RISKS)}")
        if not 0 <= self.weight <= 1:
            raise JepaError(f"risk_weight is {self.weight}; it must lie in [0, 1]")
        if not 0 < self.tail <= 1:
            raise JepaError(f"risk_tail is {self.tail}; it must lie in (0, 1]")

    def weights(self, energies: Tensor) -> Tensor:
        """energies (F, S) -> the weights (F, S) of futures, by candidate; each candidate's add up to 1."""
        count = len(energies)
        weight = {"mean": 0.0, "worst": 1.0, "mix": self.weight}[self.kind]
        tail = 1.0 if self.kind == "worst" else max(1.0, self.tail * count)  # in futures
        worst_first = energies.detach().argsort(dim=0, descending=True, stable=True).argsort(dim=0)
        in_tail = (tail - worst_first).clamp(0, 1) / tail
        return (1 - weight) / count + weight * in_tail
