"""Interactive pictures: charts that need no kernel, and widgets over plain functions.

``results``    accuracy from any results table, ``points`` what it draws;
``rank``       what a rank costs, and how much of it is used;
``privacy``    epsilon, sigma and the best attack;
``saved``      a chart that stays alive in a saved notebook;
``explorer``   controls beside a picture, ``view`` what is shown at one moment, ``pulse`` that the
               kernel is alive;
``cipher``     any picture through the cipher and back, ``attack`` what breaks it;
``live``       a training with Train and Stop, as ``curves``;
``page``       all of them as tabs; ``python -m lorakit.explore`` serves it;
``example``    trains the adapter that ships.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "attack": ["attack_explorer"],
        "cipher": ["CipherExplorer"],
        "live": ["LiveTraining"],
        "page": ["committed_rows", "dashboard"],
        "privacy": ["privacy_chart"],
        "rank": ["rank_chart", "spectrum_chart"],
        "results": ["Results", "results_chart"],
    },
)
