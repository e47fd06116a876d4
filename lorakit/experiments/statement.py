"""What a private training promises, in full: for a reader, and for a program.

After the list of Ponomareva et al. (2023, arXiv 2303.00654): what a claim of
differential privacy has to say.
"""

from dataclasses import dataclass
from pathlib import Path

from lorakit.checks import check_number, checked
from lorakit.experiments.experiment import Experiment
from lorakit.privacy.banded import as_dp_sgd
from lorakit.privacy.meaning import Meaning, what_it_means
from lorakit.privacy.tuning import tuned_epsilon
from lorakit.training.checkpoint import read_checkpoint

_SETTINGS = ("max_grad_norm", "groupwise_clipping", "bands", "accountant", "delta")


@dataclass(frozen=True)
class PrivacyStatement:
    """Print it to read it; ``dataclasses.asdict`` gives the numbers."""

    examples: int  # N, which is public
    batch_size: int  # expected, of Poisson sampling
    sample_rate: float  # q, the probability that one example is in one batch
    steps: int  # taken, or planned by an experiment that has not run
    noise_multiplier: float  # sigma; the noise on the sum has deviation sigma C
    max_grad_norm: float  # C
    groupwise_clipping: bool | None  # each part's gradient by itself, the parts together to C
    bands: int | None  # of correlated noise, see ``privacy.banded``; None: new at each step
    accountant: str
    delta: float
    epsilon: float  # of this training alone
    tpr_at_1: float  # see ``privacy.meaning``
    posterior: float  # likewise
    tried: int  # trainings on the same data, this one included, the best of which is published
    drawn: bool  # whether their number was drawn, from a geometric distribution with that mean
    epsilon_tuned: float  # of all of them together
    seed_known: bool  # to others: then nothing is promised to them

    def __str__(self) -> str:
        promise = one = f"({self.epsilon:.3g}, {self.delta:g})-DP"
        tuned, accountant, alone = "none was tried besides", self.accountant.upper(), ""
        if self.tried > 1:
            how = "a number drawn at random, with this mean" if self.drawn else "fixed in advance"
            tuned = f"{self.tried} trainings, {how}, of which the best is published; {one} for one"
            promise = f"({self.epsilon_tuned:.3g}, {self.delta:g})-DP"
            accountant += ", and RDP for the tuning" if self.drawn else ""
            alone = "of one training alone, "
        sampling, mechanism, others = "Poisson", "DP-SGD", ""
        clipped = "clipped, part by part," if self.groupwise_clipping else "clipped"
        if self.bands is not None:
            others = ", while all others keep their part"
            sampling += f" from one of {self.bands} parts in turn"
            mechanism += f" with noise correlated over {self.bands} steps"
        lines = {
            "promise": f"{promise} of the published weights",
            "unit": f"one picture with its label, added or removed{others}; N is public",
            "sampling": f"{sampling}, q = {self.batch_size} / {self.examples:,} = "
            f"{self.sample_rate:.4g}; {self.steps:,} steps",
            "mechanism": f"{mechanism}: each gradient {clipped} to C = {self.max_grad_norm:g}, "
            f"Gaussian noise of {self.noise_multiplier:.4g} C on their sum",
            "accountant": accountant,
            "it means": f"{alone}an attack with 1 % false alarms finds at most "
            f"{self.tpr_at_1:.1%} of the members; a belief of one half becomes at most "
            f"{self.posterior:.0%}, but with probability {self.delta:g}",
            "tuning": tuned,
            "noise": "of a seed that others know: NO promise holds against them"
            if self.seed_known
            else "of a secret seed; PyTorch's generator is not a cryptographic one",
            "not covered": "training losses, checkpoints, validation images and what was chosen by "
            "them, several pictures of one person, the pictures' secrecy from the trainer",
        }
        width = max(map(len, lines))
        return "\n".join(f"{name:>{width}}  {text}" for name, text in lines.items())


@checked
def privacy_statement(
    run: Experiment | str | Path, *, tried: int = 1, drawn: bool = False
) -> PrivacyStatement:
    """State what a private run promises.

    Args:
        run: an experiment, or a checkpoint's file.
        tried: trainings on the same data of which this one is the best, itself included; each is
            taken to have its mechanism.
        drawn: ``tried`` is the mean of a geometric distribution, from which the number of trainings
            was drawn before (Papernot and Steinke 2022, arXiv 2110.03620); otherwise they compose.
    """
    check_number("tried", tried, least=1, most=1_000_000, whole=True)
    found = _of_experiment(run) if isinstance(run, Experiment) else _of_checkpoint(run)
    mechanism = _mechanism(found)
    meaning, accountant = what_it_means(*mechanism), {"accountant": found["accountant"]}
    return PrivacyStatement(
        **found,
        epsilon=tuned_epsilon(*mechanism, **accountant),
        tpr_at_1=meaning.tpr_at_1,
        posterior=meaning.posterior,
        tried=tried,
        drawn=drawn,
        epsilon_tuned=tuned_epsilon(*mechanism, tried=tried, drawn=drawn, **accountant),
    )


def meaning_of(experiment: Experiment) -> Meaning:
    """What the promise of a private experiment means to an attacker; see ``privacy.meaning``."""
    return what_it_means(*_mechanism(_of_experiment(experiment)))


def _mechanism(found: dict[str, object]) -> tuple[float, float, int, float]:
    """Sigma, sample rate, steps and delta of the DP-SGD that promises the same."""
    sampled = as_dp_sgd(found["sample_rate"], found["steps"], found["bands"])
    return found["noise_multiplier"], *sampled, found["delta"]


def _of_experiment(e: Experiment) -> dict[str, object]:
    if not e.private:
        raise ValueError("run: an experiment without privacy promises nothing")
    privacy, rate = e.recipe.privacy, e.recipe.batch_size / e.train
    steps = e.recipe.steps(e.train)
    return {
        "examples": e.train,
        "batch_size": e.recipe.batch_size,
        "sample_rate": rate,
        "steps": steps,
        "noise_multiplier": privacy.sigma(rate, steps),
        **{name: getattr(privacy, name) for name in _SETTINGS},
        "seed_known": True,  # an experiment has one, so that it can be repeated
    }


def _of_checkpoint(path: str | Path) -> dict[str, object]:
    saved = read_checkpoint(path)
    settings, spent = saved["settings"], saved["spent"]
    if settings["privacy"] is None:
        raise ValueError(f"run={str(path)!r}: a training without privacy promises nothing")
    return {
        "examples": settings["data"][0],
        "batch_size": settings["batch_size"],
        "sample_rate": spent["sample_rate"],
        "steps": spent["taken"],
        "noise_multiplier": spent["sigma"],
        **{name: settings["privacy"].get(name) for name in _SETTINGS},
        "seed_known": settings["seed"] is not None,
    }
