"""Interactive pictures: charts that need no kernel, and widgets over plain functions.

``results``    accuracy from any results table, ``points`` what it draws;
``rank``       what a rank costs, ``spectrum`` how much of it is used;
``privacy``    epsilon, sigma and the best attack, from what ``promises`` computed;
``saved``      a chart that stays alive in a saved notebook;
``explorer``   controls beside a picture, ``view`` what is shown at one moment;
``cipher``     any picture through the cipher and back, ``attack`` what breaks it;
``live``       a training with Train and Stop, as ``curves``;
``dashboard``  all of them as tabs; ``python -m lorakit.explore`` serves it;
``example``    trains the adapter that ships.
"""

from lorakit.explore.attack import attack_explorer
from lorakit.explore.cipher import CipherExplorer
from lorakit.explore.dashboard import committed_rows, dashboard
from lorakit.explore.live import LiveTraining
from lorakit.explore.privacy import privacy_chart
from lorakit.explore.rank import rank_chart
from lorakit.explore.results import Results, results_chart
from lorakit.explore.spectrum import spectrum_chart

__all__ = ["CipherExplorer", "LiveTraining", "Results", "attack_explorer", "committed_rows"]
__all__ += ["dashboard", "privacy_chart", "rank_chart", "results_chart", "spectrum_chart"]
