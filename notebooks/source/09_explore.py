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
from IPython.display import display
from ipywidgets import Dropdown, interact
from scipy.stats import t

from lorakit import Experiment, read_table, sweep
from lorakit.checks import check
from lorakit.findings import best_within, finding
from lorakit.plots import plot_accuracy
from lorakit.style import CIPHER_NAMES, DATASET_NAMES
from lorakit.tables import epsilon_name, summarise

results = root / "figures" / "results"
plain_rows = read_table(results / "results.csv")  # encryption, every method; no privacy
long_rows = read_table(results / "length.csv")  # trained for longer
private_rows = read_table(results / "privacy.csv")  # differential privacy
rows = pd.concat([plain_rows, long_rows, private_rows], ignore_index=True)

# %%
print(
    f"{len(rows)} runs, {rows['seconds'].sum() / 3600:.1f} hours of computing on",
    *rows["device"].unique(),
)
rows[
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
# Rank, and parameters, on encrypted images:

# %%
encrypted = plain_rows[plain_rows["cipher"] == "shuffle+negative"]
figure = plot_accuracy(encrypted, "rank")

# %%
figure = plot_accuracy(encrypted, "trainable")

# %% [markdown]
# And privacy. An infinite $\varepsilon$ means none. **Predict**: where will the gap between plain and
# encrypted images be widest?

# %%
both = pd.concat(
    [private_rows, plain_rows[plain_rows["cipher"].isin(private_rows["cipher"].unique())]]
)
figure = plot_accuracy(both, "epsilon")

# %% [markdown]
# It is widest on `street`, and on both data sets it widens as $\varepsilon$ falls: encrypted images ask for
# more learning than plain ones, and noise leaves room for less (lesson 07).
#
# A bar may reach past 100 %: Student's t does not know that accuracy ends there, and with three seeds its
# intervals are wide.
#
# ## Turn the knobs
#
# The cell below draws the same function with drop-downs. It needs a running kernel; without one, look at the
# pictures above, which are some of its states.


# %%
def explore(x, dataset, cipher, epsilon):
    """Draw one data set; where x is not the setting, keep rows with the chosen value."""
    mine = both[both["dataset"] == dataset]
    if x != "cipher":
        mine = mine[mine["cipher"] == cipher]
    if x != "epsilon":
        mine = mine[mine["epsilon"] == epsilon]
    if mine.empty:
        print("No such runs in the table: choose another epsilon or cipher.")
        return
    figure = plot_accuracy(mine, x)
    display(figure)
    figure.clear()


interact(
    explore,
    x=Dropdown(
        options={
            "rank": "rank",
            "trainable parameters": "trainable",
            "epsilon": "epsilon",
            "cipher": "cipher",
        },
        description="against",
    ),
    dataset=Dropdown(
        options={name: key for key, name in DATASET_NAMES.items()}, description="data set"
    ),
    cipher=Dropdown(
        options={CIPHER_NAMES[key]: key for key in both["cipher"].unique()}, description="cipher"
    ),
    epsilon=Dropdown(
        options={epsilon_name(e): e for e in sorted(both["epsilon"].unique(), reverse=True)},
        description="privacy",
    ),
)

# %% [markdown]
# ## What does a budget buy?
#
# You may train at most so many parameters, and spend at most so much $\varepsilon$. `best_within` lists what
# the tables offer, best first.

# %%
for budget, epsilon in ((5_000, np.inf), (100_000, np.inf), (100_000, 2.0)):
    offers = best_within(rows, "street", "shuffle+negative", parameters=budget, epsilon=epsilon)
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
on_street = rows[rows["dataset"] == "street"]
print(on_street.groupby("method")["accuracy"].mean().sort_values().map("{:.1%}".format).to_string())

# %% [markdown]
# Nothing fails, and the numbers look fine. Why are they worthless?
#
# <details><summary>What went wrong</summary>
#
# The line averages over everything else that was varied: plain and encrypted, private and not, five ranks,
# two lengths of training. The methods were not run equally often in each: `lora+patch` has many runs with
# encrypted images at several ranks and under privacy, `full` has few. So the means compare mixtures, not
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
# ## Add your own
#
# A row of yours goes into a table of its own and stands beside the others. This one trains `bitfit` (head and
# biases) for a short while, with the seed 0; change what you like.

# %%
size = {"train": 60, "val": 20, "test": 60} if preset == "smoke" else {}
mine = Experiment(
    dataset="digits",
    cipher="shuffle+negative",
    method="bitfit",
    epochs=1 if preset == "smoke" else 8,
    **size,
)
with tempfile.TemporaryDirectory() as folder:  # use a path of your own to keep it
    own = sweep([mine], f"{folder}/mine.csv")
beside = pd.concat([encrypted[encrypted["dataset"] == "digits"], own])
figure = plot_accuracy(beside, "trainable")

# %% [markdown]
# `bitfit` is the mark without a bar: one seed. Run more seeds before you believe it.
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
