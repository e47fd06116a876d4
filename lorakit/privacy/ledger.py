"""What Opacus' accountants answer, in bounded memory and time."""

import math
import warnings
from functools import lru_cache

import numpy as np

_QUICK_CELLS, _MOST_CELLS = 2**20 - 3, 2**21 - 3  # of PRV's grid, which then has 2^20, 2^21 points


@lru_cache(maxsize=4096)
def epsilon_spent(
    sigma: float, sample_rate: float, steps: int, delta: float, accountant: str
) -> tuple[float, str]:
    """Epsilon, and the accountant that gave it: RDP where PRV cannot."""
    settings = sigma, sample_rate, steps
    if accountant == "gdp":
        return _gdp_epsilon(*settings, delta), "gdp"
    rdp = _opacus_epsilon("rdp", settings, delta)
    cells = _prv_cells(*settings, delta) if accountant == "prv" else math.inf
    if cells / _MOST_CELLS > 0.5 or delta < max(1e-12, 1e-14 * steps):
        return rdp, "rdp"
    error = max(0.01, min(cells / _QUICK_CELLS, 0.005 * rdp), cells / _MOST_CELLS)
    rough = _opacus_epsilon("prv", settings, delta, eps_error=error)
    if rough >= 2:
        return rough, "prv"
    error = max(0.005 * rough, 2e-4, cells / _MOST_CELLS)
    return _opacus_epsilon("prv", settings, delta, eps_error=error), "prv"


def _opacus_epsilon(accountant: str, settings: tuple, delta: float, **options: float) -> float:
    from opacus.accountants import create_accountant

    ledger = create_accountant(accountant)
    ledger.history = [settings]
    with warnings.catch_warnings():  # the looseness of each accountant is told in ACCOUNTANTS
        warnings.simplefilter("ignore")
        return max(0.0, float(ledger.get_epsilon(delta, **options)))


def _prv_cells(sigma: float, sample_rate: float, steps: int, delta: float) -> float:
    """How many cells PRV's grid has for an error of 1 in epsilon; for one of 0.01, 100 times so."""
    from opacus.accountants.analysis import prv

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        variable = prv.PoissonSubsampledGaussianPRV(sample_rate, sigma)
        reach = prv.compute_safe_domain_size([variable], [steps], 0.01, delta / 1000)
    return 2 * reach * math.sqrt(steps * math.log(12_000 / delta) / 2)


@np.errstate(over="ignore")
def _gdp_epsilon(noise_multiplier: float, sample_rate: float, steps: int, delta: float) -> float:
    from opacus.accountants.analysis import gdp

    settings = {"steps": steps, "noise_multiplier": noise_multiplier, "sample_rate": sample_rate}
    mu = gdp.compute_mu_poisson(**settings)
    if gdp.delta_eps_mu(eps=0, mu=mu) <= delta:
        return 0.0
    if gdp.delta_eps_mu(eps=400, mu=mu) > delta:
        return math.inf
    return float(gdp.compute_eps_poisson(**settings, delta=delta))
