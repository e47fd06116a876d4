"""What is spent by several trainings on the same data, of which only the best is published."""

from lorakit.checks import check_number, checked
from lorakit.privacy.accountant import compute_epsilon


@checked
def tuned_epsilon(
    noise_multiplier: float,
    sample_rate: float,
    steps: int,
    delta: float,
    *,
    tried: int = 1,
    drawn: bool = False,
    accountant: str = "prv",
) -> float:
    """Epsilon of ``tried`` trainings of the same mechanism together; arguments as there.

    If their number was fixed, all their steps compose, whatever is published. If it was drawn from
    a geometric distribution with mean ``tried`` (train, then toss a coin whether to train once
    more) and nothing but the best is published, it costs less: Papernot and Steinke (2022, arXiv
    2110.03620, theorem 2), in RDP, by dp-accounting.

    Which setting was the best must be told from what the promise covers, or from other data.
    """
    check_number("tried", tried, least=1, most=1_000_000, whole=True)
    mechanism = noise_multiplier, sample_rate
    if not drawn or noise_multiplier == 0:
        return compute_epsilon(*mechanism, steps * tried, delta, accountant=accountant)
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.dp_event import RepeatAndSelectDpEvent
    from dp_accounting.rdp import RdpAccountant

    compute_epsilon(*mechanism, steps, delta, accountant="rdp")  # for its checks
    step = PoissonSampledDpEvent(sample_rate, GaussianDpEvent(noise_multiplier))
    all_of_them = RepeatAndSelectDpEvent(SelfComposedDpEvent(step, steps), mean=tried, shape=1)
    return float(RdpAccountant().compose(all_of_them).get_epsilon(delta))
