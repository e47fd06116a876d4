"""Training, plain and private.

``recipe``        everything about the optimisation, as one value;
``fit``           the loop over epochs;
``step``          a plain step, ``private_step`` one with clipped and noised gradients;
``correlated``    the optimiser that takes noise back, see ``privacy.banded``;
``guards``        what a private step refuses;
``augment``       random views of images;
``loader``        batches of images with their labels, where the model is;
``criterion``     the loss;
``evaluate``      loss and accuracy on a split;
``optimizer``     a learning rate for each part, its schedule, a moving average;
``checkpoint``    stop and go on;
``distributed``   several processes as one training;
``memory``        how many images fit at a time.
"""
