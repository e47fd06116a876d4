"""Experiments: from one value that says everything to a table of results.

``experiment``      the value; ``learning_rates`` fills in what it leaves open;
``run``             one experiment, ``sweep`` many into a table that resumes (``table_file``);
``presets``         the grids behind the figures;
``search_rates``    learning rates of each cell, on validation images;
``claim``           the paper's claim on real pictures, ``crossed`` keys and seeds;
``clipped``         what a part costs the others by its share of the clipped norm;
``audit``           train with canaries and attack, ``shadow`` many heads at once;
``statement``       what a private run promises;
``paper``           the paper's own experiment, ``estimate`` what it takes;
``pretrain_synthetic``  the weights that ship, ``sources`` what each kind of picture is worth;
``public``          adapt to a key on public pictures before private training.
"""
