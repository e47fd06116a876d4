"""Interactive pictures: charts that need no kernel, and widgets over plain functions.

``results``    accuracy from any results table, ``points`` what it draws;
``saved``      a chart that stays alive in a saved notebook;
``explorer``   controls beside a picture, ``view`` what is shown at one moment;
``rank``       what rank, targets and blocks cost, and what was learned;
``cipher``     any picture through the cipher and back, ``attack`` what breaks it;
``privacy``    epsilon, sigma, delta;
``live``       a training with Train and Stop, as ``curves``;
``dashboard``  all of them as tabs; ``python -m lorakit.explore`` serves it;
``example``    trains the adapter that ships.
"""

from lorakit.explore.attack import attack_explorer
from lorakit.explore.cipher import CipherExplorer
from lorakit.explore.dashboard import committed_rows, dashboard
from lorakit.explore.live import LiveTraining
from lorakit.explore.privacy import PrivacyExplorer
from lorakit.explore.rank import rank_explorer, singular_explorer
from lorakit.explore.results import Results, results_chart

__all__ = ["CipherExplorer", "LiveTraining", "PrivacyExplorer", "Results", "attack_explorer"]
__all__ += ["committed_rows", "dashboard", "rank_explorer", "results_chart", "singular_explorer"]
