# ---
# jupyter:
#   lorakit:
#     title: Explore the results
#     learn:
#     - ask a table of runs a question and read the answer with its uncertainty
#     - find the best method within a budget of parameters and privacy
#     - tell a comparison of like with like from one that only looks like it
#     - add a run of your own and see it beside the others
#     needs: Lessons 04 and 07, or the words method, rank and epsilon.
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# You have met every idea of this course. Now put your own questions: what does rank buy, what does privacy
# cost, which method would you choose for 100,000 trainable parameters and $\varepsilon = 2$? The answers are
# in tables with one row for every training run, measured with the `full` preset and three seeds. Nothing is
# trained for them here, so every picture comes at once.

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import tempfile

import numpy as np
import pandas as pd
from exercises import check
from scipy.stats import t

from lorakit import read_table
from lorakit.explore import (
    CipherExplorer,
    LiveTraining,
    PrivacyExplorer,
    ResultsExplorer,
    attack_explorer,
    rank_explorer,
    singular_explorer,
)
from lorakit.figures.accuracy import plot_accuracy
from lorakit.figures.captions import best_within, finding
from lorakit.figures.tables import epsilon_name, summarise

results = root / "figures" / "results"
plain_rows = read_table(results / "results.csv")  # encryption, every method; no privacy
long_rows = read_table(results / "length.csv")  # trained for longer
private_rows = read_table(results / "privacy.csv")  # differential privacy
rows = pd.concat([plain_rows, private_rows], ignore_index=True)
every = pd.concat([rows, long_rows], ignore_index=True)

# %%
print(
    f"{len(every)} runs, {every['seconds'].sum() / 3600:.1f} hours of computing on",
    *every["device"].unique(),
)
every[
    ["dataset", "cipher", "method", "rank", "epsilon", "epochs", "seed", "accuracy", "trainable"]
].sample(6, random_state=0)

# %% [markdown]
# A row is one run: its settings, what it scored on test images it never saw, how many parameters it trained.
# **A seed is not a setting.** Rows that differ in the seed alone are repetitions, and their spread is the
# uncertainty of the answer.
#
# ## How sure is a mean of three?
#
# `summarise` gives a line for each setting, with the half-width of the 95 % confidence interval of the mean
# (Student's t).
#
# **Predict**: three seeds gave 80, 84 and 88 per cent. How wide is the interval: ± 2, ± 5 or ± 10 points?

# %%
three = np.array([0.80, 0.84, 0.88])
half = t.ppf(0.975, df=2) * three.std(ddof=1) / np.sqrt(3)
print(f"{three.mean():.0%} ± {100 * half:.1f} points")

# %% [markdown] tags=["hints"] exercise="09.interval"
# ### Exercise 1: the interval
#
# Write the half-width of the 95 % confidence interval of a mean, for an array of any length:
# $t_{0.975,\,n-1} \, s / \sqrt n$, with $s$ the standard deviation of the sample.
#
# <details><summary>Hint 1</summary>
#
# A sample's standard deviation divides by $n - 1$. NumPy divides by $n$ unless told.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `t.ppf(0.975, df)` leaves 2.5 % above. How many degrees of freedom are left after the mean was estimated?
#
# </details>


# %% tags=["exercise"] exercise="09.interval"
def half_width(x):
    """x (n,), accuracies of n seeds, to the half-width of the interval of their mean."""
    ...  # your code


check("09.interval", half_width)

# %% [markdown] tags=["solution"] exercise="09.interval"
# <details><summary>Solution</summary>
#
# ```python
# def half_width(x):
#     n = len(x)
#     return t.ppf(0.975, n - 1) * x.std(ddof=1) / np.sqrt(n)
# ```
#
# Twelve seeds would make it about four times narrower than three: a factor of two by $\sqrt n$, and two by
# $t$.
#
# </details>

# %% [markdown]
# ## Ask the tables
#
# One function draws them all: `plot_accuracy(rows, x)`. Choose what stands on the axis; filter the rows
# first. It refuses to average rows that differ in something the picture would not show.

# %%
figure = plot_accuracy(plain_rows, "cipher")

# %%
at_rank_4 = plain_rows[plain_rows["rank"].isna() | (plain_rows["rank"] == 4)]
for dataset in at_rank_4["dataset"].unique():
    print(finding(at_rank_4, dataset), end="\n\n")

# %% [markdown]
# ## Turn the knobs
#
# The same function behind controls. Each explorer of this lesson draws at once when you move something, says in
# a sentence what the picture shows, and switches off what cannot be, with the reason. On a page without a
# running kernel you see its first picture.
#
# **Predict**, before you move anything: on encrypted `street`, does rank 16 of `lora` reach rank 1 of
# `lora+patch`? And at which $\varepsilon$ is the gap between plain and encrypted images widest?

# %%
results_explorer = ResultsExplorer(rows)
results_explorer

# %% [markdown]
# It opens on `shuffle + negative`: the whole line of `lora` lies below that of `lora+patch`. A trained patch
# embedding is worth more there than sixteen times the rank. Then choose *against: privacy budget ε* and
# *coloured by: cipher*. The gap between plain and encrypted is widest on `street`, and on both data sets it widens as
# $\varepsilon$ falls: encrypted images ask for more learning than plain ones, and noise leaves room for less
# (lesson 07).
#
# A bar may reach past 100 %: Student's t does not know that accuracy ends there, and with three seeds its
# intervals are wide.
#
# ## What a rank costs
#
# **Predict**: in ViT-B/16 at rank 4, which part of `lora+patch` trains most parameters?

# %%
rank_explorer()

# %% [markdown]
# The patch embedding, four fifths of them: it is a full map of 768 by 768 numbers, and rank does not touch it.
# Go to rank 64 and see where LoRA overtakes it; then look at what differential privacy keeps in memory, a
# gradient for every example.
#
# How much of a rank does a training use? Here are the singular values of every update
# $\Delta W = \frac{\alpha}{r} B A$ of an adapter of rank 16, trained on encrypted street digits and saved by
# `save_adapter`.

# %%
singular_explorer()

# %% [markdown]
# The first four of sixteen hold nine tenths of every update. The others fall, but not off a cliff: a higher rank
# is used where it is offered, and buys little (the first explorer).
#
# ## What encryption hides
#
# **Predict**: with *scramble* alone, and blocks of 16 by 16, can you read the digit? Try your own picture too; it
# stays in this kernel.

# %%
CipherExplorer()

# %% [markdown]
# ## What breaks it
#
# One known pair gives the key away if the picture has enough different values. Lower them until it has not;
# then find the number of pictures that makes up for it. Switch to the jigsaw, and ask how many encrypted
# pictures it needs when none is known.

# %%
attack_explorer()

# %% [markdown]
# ## What a promise costs
#
# **Predict**: you halve $\varepsilon$. Does $\sigma$ double? Then choose *show: ε against δ* and move $\delta$ into the
# red: the smaller $\varepsilon$ there is an empty promise.

# %%
PrivacyExplorer()

# %% [markdown]
# When you rest, the tight PRV accountant answers after a moment; RDP and GDP follow every move.
#
# ## What does a budget buy?
#
# You may train at most so many parameters, and spend at most so much $\varepsilon$. `best_within` lists what
# the tables offer, best first.

# %%
for budget, epsilon in ((5_000, np.inf), (100_000, np.inf), (100_000, 2.0)):
    offers = best_within(every, "street", "shuffle+negative", parameters=budget, epsilon=epsilon)
    best = offers.iloc[0]
    where = f", r = {best['rank']:.0f} on {best['targets']}" if best["rank"] > 0 else ""
    print(
        f"at most {budget:>9,} parameters, {epsilon_name(epsilon):>10}: {best['method']}{where}, "
        f"{best['mean']:.1%} ± {100 * best['interval']:.1f}"
    )

# %% [markdown]
# The first of many is always a little flattered: the best of twenty means is partly luck. Look at its
# interval before you choose it over the second.

# %% [markdown] tags=["hints"] exercise="09.best"
# ### Exercise 2: the best within a budget
#
# Given rows with columns `method`, `trainable`, `epsilon`, `seed` and `accuracy`, return the name of the
# method with the best **mean** among those within both limits (limits included).
#
# <details><summary>Hint 1</summary>
#
# Filter by both limits first.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The same method may be there with several $\varepsilon$. They are different settings: group by both, then
# take the mean.
#
# </details>


# %% tags=["exercise"] exercise="09.best"
def best_method(rows, parameters, epsilon):
    """The method with the best mean accuracy, within both limits."""
    ...  # your code


check("09.best", best_method)

# %% [markdown] tags=["solution"] exercise="09.best"
# <details><summary>Solution</summary>
#
# ```python
# def best_method(rows, parameters, epsilon):
#     mine = rows[(rows["trainable"] <= parameters) & (rows["epsilon"] <= epsilon)]
#     means = mine.groupby(["method", "epsilon"])["accuracy"].mean()
#     return means.idxmax()[0]
# ```
#
# Grouping by method alone would average strict and loose promises into a number that no run has.
#
# </details>

# %% [markdown]
# ## Find the silent bug
#
# Somebody wants to know what the paper's method adds, and writes one line.

# %%
on_street = every[every["dataset"] == "street"]
print(on_street.groupby("method")["accuracy"].mean().sort_values().map("{:.1%}".format).to_string())

# %% [markdown]
# Nothing fails, and the numbers look fine. Why are they worthless?
#
# <details><summary>What went wrong</summary>
#
# The line averages over everything else that was varied: plain and encrypted, private and not, five ranks,
# two lengths of training. The methods were not run equally often in each: `lora+patch` has many runs with
# encrypted images at several ranks and under privacy, `full` has fewer. So the means compare mixtures, not
# methods (Simpson's paradox waits here). Compare like with like: fix everything but one thing.
#
# </details>

# %%
try:
    summarise(on_street)
except ValueError as error:
    print("summarise refuses:", error)
like = on_street[(on_street["cipher"] == "shuffle+negative") & np.isinf(on_street["epsilon"])]
like = like[
    (like["epochs"] == 5)
    & ((like["rank"].isna()) | ((like["rank"] == 4) & (like["targets"] == "q+v")))
]
print(summarise(like).set_index("method")["mean"].sort_values().map("{:.1%}".format).to_string())

# %% [markdown]
# ## Train one yourself
#
# Choose an experiment and press *Train*. It runs in a process of its own, so that the page stays free; *Stop*
# ends it within a step. A finished row goes into a table of yours and, as a star, into the results explorer at the
# top; a star is one seed, and is never averaged with the committed runs. Scroll up to see it there.

# %%
own_table = Path(tempfile.mkdtemp()) / "my_runs.csv"  # a path of your own keeps it
LiveTraining(own_table, on_row=results_explorer.add)

# %% [markdown]
# Without a page to click on, the same is `sweep([Experiment(...)], "my_runs.csv")`.
#
# All explorers stand side by side on one page, without the text, with `python -m lorakit.explore` (it needs
# `pip install voila`).
#
# ## What you can do now
#
# - Ask any results table a question and say how sure the answer is.
# - Choose a method for a budget, and distrust the winner of many.
# - See when an average compares mixtures.
#
# Next, [lesson 10](10_paper_figures.ipynb) regenerates every figure from nothing.
#
# ## What this does not protect
#
# - The tables hold what **this** small world gave: a ViT of 1.2 million parameters and two data sets of
#   digits. They do not say what ViT-B/16 does on your pictures.
# - Choosing the best of many private runs is one more look at the data: the $\varepsilon$ of the chosen run
#   does not include it (Papernot and Steinke 2021, arXiv 2110.03620).
# - Three seeds vary the start, the order and the key, not the test images.
