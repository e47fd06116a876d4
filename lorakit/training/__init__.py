"""Training, plain and private.

``fit``           the loop over epochs;
``step``          a plain step, ``private_step`` one with clipped and noised gradients,
                  ``guards`` what it refuses;
``evaluate``      loss and accuracy;
``optimizer``     a learning rate for each part, and its schedule;
``checkpoint``    stop and go on;
``distributed``   several processes as one training;
``memory``        how many images fit at a time.
"""

from lorakit.training.evaluate import DivergenceError, evaluate
from lorakit.training.fit import fit

__all__ = ["DivergenceError", "evaluate", "fit"]
