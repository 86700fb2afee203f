import pytest
import torch

from jepa_ros.world_model.collapse import effective_rank, latent_health, sigreg, vicreg


def gaussian(n=2048, d=32, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("penalty", [sigreg, vicreg])
def test_penalty_is_near_zero_on_gaussian_and_large_on_collapsed_latents(penalty):
    good = penalty(gaussian()).item()
    point = penalty(torch.full((2048, 32), 0.3)).item()
    line = penalty(gaussian(d=1).expand(-1, 32)).item()
    assert good < 0.02
    assert point > 10 * good and point > 0.3
    assert line > 10 * good


def test_sigreg_sees_a_wrong_scale_and_a_wrong_mean():
    assert sigreg(2 * gaussian()).item() > 10 * sigreg(gaussian()).item()
    assert sigreg(gaussian() + 1).item() > 10 * sigreg(gaussian()).item()


def test_sigreg_descends_to_a_gaussian():
    x = (gaussian(512, 8) * 0.05 + 2).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=0.05)
    first = None
    for _ in range(200):
        loss = sigreg(x)
        first = first or loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05 * first
    assert abs(x.mean().item()) < 0.1 and 0.8 < x.std().item() < 1.2


def test_effective_rank_counts_directions():
    wide = gaussian(4096, 16)
    assert effective_rank(wide) > 15
    narrow = wide[:, :2] @ torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    assert 1 < effective_rank(narrow) < 2.1
    assert effective_rank(torch.ones(100, 16)) == 1.0
    assert latent_health(torch.ones(100, 16))["latent_std"] == 0.0
