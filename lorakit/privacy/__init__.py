"""Differential privacy: the mechanism, what it promises, how a promise is put to the test.

``dpsgd``       DP-SGD by hand, to be read;
``accountant``  settings, epsilon, the noise multiplier;
``banded``      correlated noise: one step beyond DP-SGD;
``ledger``      what Opacus' accountants answer, in bounded memory;
``meaning``     what the best attack finds, and may believe;
``tuning``      what several trainings spend, of which the best is published;
``curves``      two classic mistakes, and what they hide;
``audit``       a lower bound on epsilon from what an attacker guesses;
``membership``  how sure the attacker is of each example.

The step that trains, through Opacus, is ``training.private_step``.
"""
