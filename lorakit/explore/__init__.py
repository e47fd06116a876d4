"""Interactive pictures on ipywidgets; each is a thin layer over a plain function.

``ResultsExplorer``    accuracy against rank, parameters, epsilon or cipher, from any table;
``rank_explorer``      what rank, targets and blocks cost; ``singular_explorer``: what was learned;
``CipherExplorer``     any picture through the cipher and back;
``PrivacyExplorer``    epsilon, sigma, delta;
``attack_explorer``    what breaks the cipher;
``LiveTraining``       a training with Train and Stop;
``dashboard``          all of them as tabs.
"""

from lorakit.explore.attack import attack_explorer
from lorakit.explore.cipher import CipherExplorer
from lorakit.explore.dashboard import committed_rows, dashboard
from lorakit.explore.live import LiveTraining
from lorakit.explore.privacy import PrivacyExplorer
from lorakit.explore.rank import rank_explorer, singular_explorer
from lorakit.explore.results import ResultsExplorer

__all__ = [
    "CipherExplorer", "LiveTraining", "PrivacyExplorer", "ResultsExplorer", "attack_explorer",
    "committed_rows", "dashboard", "rank_explorer", "singular_explorer",
]  # fmt: skip
