"""Experiments: from one value that says everything to a table of results.

``experiment``      the value; ``learning_rates`` fills in what it leaves open;
``run``             one experiment, ``sweep`` many into a table that resumes (``table_file``);
``presets``         the grids behind the figures;
``search_rates``    learning rates of each cell, on validation images;
``audit``           train with canaries and attack, ``shadow`` many heads at once;
``statement``       what a private run promises;
``paper``           the paper's own experiment, ``estimate`` what it takes;
``pretrain_synthetic``  the weights that ship, ``probe`` what a frozen network knows;
``public``          adapt to a key on public pictures before private training.

The studies that made the committed tables with these stand beside them, in ``figures/studies``.
"""
