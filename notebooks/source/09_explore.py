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
# You may train at most 100,000 numbers, on photographs that are encrypted. **Which method do you choose, and how
# sure can you be?** Every mark below is a mean of finished trainings. Drag the budget, and see the winner change.

# %% tags=["parameters"]
preset = "quick"  # smoke: seconds, for tests; quick: what the outputs show

# %% tags=["context"]
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from exercises import check
from scipy.stats import t

from lorakit.explore import (
    CipherExplorer,
    LiveTraining,
    Results,
    attack_explorer,
    committed_rows,
    privacy_chart,
    rank_chart,
    spectrum_chart,
)
from lorakit.figures.style import OTHER_COLOURS, style, suptitle
from lorakit.figures.tables import summarise

smoke = preset == "smoke"

rows = committed_rows(root)  # results of the course, a row for every training run

# %%
results = Results(rows)
results

# %% [markdown]
# The chart is alive wherever this page is open in JupyterLab, with no kernel and no network.
#
# - **Hover** over a mark for its numbers, and for how it was trained.
# - **Click** a name in the legend to see that method alone; Shift adds a second, a double click brings all back.
# - **Drag the budget.** What trains more turns grey. The best of what is left is ringed and named.
#
# A mark is a mean over several seeds. Its bar is the 95 % confidence interval of that mean.
#
# **Predict, then look.**
#
# 1. With 20,000 parameters instead of 100,000: which method wins now? And with 10,000, why is no mark ringed?
# 2. Drag the budget to its end. How many points does `full` gain on each `lora`, for how many times the parameters?
# 3. Choose *clothes, 10,000 images*, *plain*, against *privacy budget*. Which method is best at $\varepsilon = 0.5$, and which without noise?
#
# <details><summary>What the chart says</summary>
#
# 1. `lora`: it needs 13,578 parameters at rank 4, and `patch` needs 25,994. With 10,000 none of them fits. (`lora` at
#    rank 2 would, with 7,434, and so would `probe`, with 1,290; in this table neither was run on so many encrypted pictures.)
# 2. On `lora` at q and v 1.8 points, 86.3 % against 84.5 %, for 90 times the parameters. On `lora` behind the attention
#    (proj, fc1, fc2) 0.6 points, for 32 times.
# 3. `lora` both times. At 0.5 its bar overlaps that of `probe`; both leave the patch embedding alone (lesson 07 says why that
#    matters). Without noise (clipped all the same) `full` and `probe` are within a point of it.
#
# </details>
#
# A menu entry is one data set of one size, with one backbone. Compare methods within one entry, never across. (*No
# noise* is plain training. In entries that also have budgets $\varepsilon$, it is the recipe of the private runs with
# $\sigma = 0$, and gradients are still clipped.)
#
# ## How sure is a mean?
#
# Rows that differ in the seed alone are repetitions; their spread is the uncertainty. On *clothes* each mean has five
# to ten seeds. Even so the bars of several methods overlap, and the winner of the budget is then partly luck. But bars
# that overlap do not settle it. The same seed means the same key: subtract pair by pair (lesson 04), and a small lead
# may show.
#
# Often there are only three seeds. **Predict**: they gave 80, 84 and 88 per cent. Is the interval ± 2, ± 5 or ± 10
# points? Exercise 1 is a formula from lesson 04, for one mean. Then it goes to work.

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
# Now ask it: `half_width(np.array([0.80, 0.84, 0.88]))` is 0.099, so ± 10 points. Twelve seeds with the same
# spread would give about a quarter of that: half by $\sqrt n$, and half by $t$.
#
# </details>

# %% [markdown]
# Now let it judge. These are the rows behind the chart's first picture, ten keys for each method:

# %%
entry = rows[(rows["dataset"] == "fashion") & (rows["train"] == 10_000)]
entry = entry[(entry["cipher"] == "shuffle+negative") & np.isinf(entry["epsilon"])]
entry = entry[entry["backbone"] == "vit_micro"]
names = entry["method"] + " " + entry["targets"].fillna("")
keys = entry.assign(name=names.str.strip()).pivot(index="seed", columns="name", values="accuracy")
print(keys.map("{:.1%}".format).to_string())

# %% [markdown]
# **With three keys instead of ten.** Compare `lora` at proj+fc1+fc2 with `lora+patch`. There are 120 ways to take three
# keys of the ten. **Predict** two numbers: in how many of the 120 do the two bars overlap? And in how many does the
# interval of the three **differences** hold no zero? Count them, with your `half_width` and `itertools.combinations`.
#
# <details><summary>What three keys can say</summary>
#
# ```python
# from itertools import combinations
#
# x, y = keys["lora proj+fc1+fc2"].to_numpy(), keys["lora+patch q+v"].to_numpy()
# overlap = decided = 0
# for three in map(list, combinations(range(10), 3)):
#     a, b = x[three], y[three]
#     overlap += abs(a.mean() - b.mean()) < half_width(a) + half_width(b)
#     decided += abs((a - b).mean()) > half_width(a - b)
# print(overlap, decided, 100 * (x - y).mean(), 100 * half_width(x - y))
# ```
#
# The bars overlap in 109 of 120, as if nothing could be said. The pairs decide in 64, always for the same method. With
# all ten keys there is no doubt left: 0.84 ± 0.24 points. So three keys miss a true lead nearly every second time, even in
# pairs. Without pairs they miss it nearly always.
#
# </details>
#
# ## What does a budget buy?
#
# The ring in the chart is a few lines of pandas. Write them.

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
# **Turn it on the table.** Ask `best_method(entry, 100_000, np.inf)`. It says `lora`, as the chart does. But print the mean
# that it compared: 85.1 %, and no mark of the chart is there. What has it averaged? Mend it, so that different `targets`
# and `rank` stay apart. Then ask with a budget of two million. The answer should be `full`. If it is still `lora`, pandas
# has left something out, and said nothing.
#
# <details><summary>What it averaged, and what pandas left out</summary>
#
# Two settings of `lora` are in `entry`: on q and v (84.5 %) and on proj, fc1 and fc2 (85.7 %). In the middle lies a method
# that nobody ran. Group by everything that was chosen. But methods without LoRA have no targets and no rank: there the
# table holds NaN, and `groupby` drops such rows unless you forbid it.
#
# ```python
# def best_setting(rows, parameters, epsilon):
#     mine = rows[(rows["trainable"] <= parameters) & (rows["epsilon"] <= epsilon)]
#     chosen = ["method", "targets", "rank", "epsilon"]
#     return mine.groupby(chosen, dropna=False)["accuracy"].mean().idxmax()
# ```
#
# Without `dropna=False` neither `patch` nor `full` can ever win.
#
# </details>
#
# The winner of many is a little flattered: the best of twenty means is partly luck. Look at its interval before
# you choose it over the second.
#
# ## Find the silent bug
#
# Somebody wants to know whether it pays on clothes to train more than the head, and writes one line.

# %%
on_clothes = rows[rows["dataset"] == "fashion"]
print(on_clothes.groupby("method")["accuracy"].mean().map("{:.1%}".format).to_string())

# %% [markdown]
# Nothing fails, and the numbers look fine: the head alone (`probe`) is ahead of `patch` and `bitfit`. Why is that worthless?
#
# <details><summary>What went wrong</summary>
#
# The line averages over everything else that varied: plain and encrypted, private and not, how many pictures, two backbones.
# And the methods were not run equally often in each. In this table `probe` has fifty private runs, half of them on 60,000 plain
# clothes, and none on 10,000 encrypted ones (lesson 07 has some, in another table); `bitfit` has no private run at all. So it compares mixtures, not methods. Fix everything but
# one thing, below: on encrypted clothes the order turns round, and the head alone is last, four points behind `patch`.
#
# </details>

# %%
private = on_clothes[np.isfinite(on_clothes["epsilon"])]
print("private runs:", private["method"].value_counts().to_dict())
try:
    summarise(on_clothes)
except ValueError as error:
    print("summarise refuses:", error)
alike = (on_clothes["cipher"] == "shuffle+negative") & np.isinf(on_clothes["epsilon"])
alike &= (on_clothes["train"] == 4_000) & (on_clothes["backbone"] == "vit_micro")
alike &= on_clothes["rank"].isin([4, np.nan])
fair = summarise(on_clothes[alike]).sort_values("mean")
print(fair[["method", "targets", "mean", "interval", "seeds"]].round(3).to_string(index=False))

# %% [markdown]
# ## What a rank costs
#
# You met this one in lesson 01. **Predict**: in ViT-B/16 at rank 4, which part of `lora+patch` trains most parameters?

# %%
rank_chart()

# %% [markdown]
# The patch embedding, four fifths of them: it is a full map of 768 by 768 numbers, and rank does not touch it.
# Above the curves the thin matrices stand beside $W$, to scale. Drag the rank to 64: where does LoRA overtake the patch
# embedding?
#
# <details><summary>Where LoRA overtakes it</summary>
#
# At rank 17. On queries and values of 12 blocks a rank costs 12 · 2 · (768 + 768) = 36,864 numbers. Sixteen of them
# make 589,824, a little less than the 590,592 of the patch embedding with its bias.
#
# </details>
#
# How much of its rank does a training use? Here are the singular values of every update
# $\Delta W = \frac{\alpha}{r} B A$ of an adapter of rank 16, trained on encrypted clothes.

# %%
spectrum_chart()

# %% [markdown]
# The first four of sixteen hold most of the energy of every update, least for $v$. The others fall, but not off a
# cliff: a higher rank is used where it is offered. (What it buys, the chart above says: choose *clothes, 4,000 images, vit_micro*, and *rank*.)
#
# ## What encryption hides, and what breaks it
#
# You met this one in lesson 03. Leave *scramble* alone, with blocks of 16 by 16: can you still name the garment?
# (Mostly yes: four large pieces are no puzzle.) Try your own picture too; it stays in this kernel.

# %%
CipherExplorer()

# %% [markdown]
# The next one is from lesson 05. **Predict**: how many known pictures does an attacker need to open all others under
# the same key?

# %%
attack_explorer()

# %% [markdown]
# One, if it has enough different values. Lower them until it is not enough; then find how many pictures make up
# for it. Then switch to the jigsaw, which knows no picture at all.
#
# <details><summary>How low, and how many</summary>
#
# With the key that the page opens with, eight levels of brightness are still enough. With six, one picture reads 97 %
# of the values, and three read all; so do three with four levels. In black and white it takes eight.
#
# </details>
#
# ## What a promise costs
#
# You met this one in lessons 06 and 07. **Predict**: you double $\sigma$. Is $\varepsilon$ halved? Then go to 100
# epochs, and drag $\sigma$ until the chart says that an attacker who accuses one outsider in a hundred finds at most 2
# members in a hundred.

# %%
privacy_chart()

# %% [markdown]
# <details><summary>What the noise buys</summary>
#
# - It falls to less than half. At $\sigma = 1$ the chart opens with $\varepsilon = 3.26$; at 1.8 it is 1.24 already. Far
#   to the right it comes nearer to half: 0.95 at 2.2, 0.44 at 4.2.
# - From 4.6 on. (It rounds: even $\sigma = 5$ leaves the attacker 2.3 members in a hundred, at $\varepsilon = 1.26$.) With 10
#   epochs 2.2 is enough.
#
# </details>
#
# ## Train one yourself
#
# The last explorer trains a model while you watch. You may have no kernel to press its button, so here the lesson
# presses it once: `lora+patch` on 1,000 encrypted clothes, three epochs, with a promise of $\varepsilon = 2$. **Predict**:
# that is twelve steps. How much of $\varepsilon$ does the first one spend?

# %%
folder = Path(tempfile.mkdtemp())
pressed = LiveTraining(folder / "pressed.csv")
chosen = {"dataset": "fashion", "train": 1000, "epochs": 3, "epsilon": 2.0}
if smoke:
    chosen |= {"dataset": "digits", "train": 100, "epochs": 1}
for name, value in chosen.items():
    pressed.controls[name].value = value
pressed.start()  # as the button does; it trains in a process of its own
pressed.wait()  # a page would not: it stays free meanwhile

# %% tags=["folded"]
# @title Drawing: the run that the lesson has pressed
moments = pd.DataFrame(pressed.moments)
first, last = moments.iloc[0], moments.iloc[-1]
test = pd.read_csv(folder / "pressed.csv")["accuracy"].item()
panels = {"loss": "loss of a batch", "accuracy": "accuracy in training", "epsilon": "ε spent"}
with style():
    figure, axes = plt.subplots(1, 3, figsize=(9.4, 3.1))
    for ax, (name, title), colour in zip(axes, panels.items(), OTHER_COLOURS):
        ax.plot(moments["step"], moments[name], "o-", color=colour)
        most = 1 if name == "accuracy" else 1.15 * moments[name].max()
        ax.set(title=title, xlabel="step", ylim=(0, most))
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[1].axhline(test, color="#777777", linestyle=":")
    axes[1].text(1, test + 0.03, f"test pictures: {test:.0%}", color="#555555")
    for moment, place, side in ((first, (9, -4), "left"), (last, (4, 9), "right")):
        at, text = (moment["step"], moment["epsilon"]), f"{moment['epsilon']:.2f}"
        axes[2].annotate(text, at, place, textcoords="offset points", ha=side)
    spent = [f"{moment['epsilon']:.2f} after {moment['step']:.0f}" for moment in (first, last)]
    suptitle(figure, f"Private steps do not simply add up: ε is {', '.join(spent)}")

# %% [markdown]
# The first step spends a third of the whole, and the eleven others share the rest (lesson 06 says why). Three epochs
# on a thousand pictures are little: about half of the encrypted clothes get their name.
#
# Now you. Press *Train*; *Stop* ends it within a step. The finished run joins the chart at the top as a star, and the
# chart says what the committed runs reached with the same method. A star is one seed, and is never averaged with them.

# %%
own_table = folder / "my_runs.csv"  # a path of your own keeps it
LiveTraining(own_table, on_row=results.add)

# %% [markdown]
# Without a page to click on, the same is `sweep([Experiment(...)], "my_runs.csv")`. All explorers stand side by
# side on one page with `python -m lorakit.explore` (it needs `pip install voila`).
#
# ## Recap: three questions
#
# Open the answer you would give; it tells you whether it holds.
#
# **1. Over three seeds each, method X has a mean one point above that of Y, and their bars overlap widely.
# What do you report?**
# <details><summary>From the bars it is not decided which is ahead; pairs or more seeds may tell</summary>✓ Subtract runs that
# share a seed; if that interval holds zero, take more seeds. Until then, name the mean, the interval, the seeds and the runner-up.</details>
# <details><summary>X is better: its mean is higher, and a mean is the best guess</summary>✗ It is a guess
# with a bar. Three other seeds may turn the order round, and the winner of many is a little
# flattered.</details>
# <details><summary>X and Y are equally good: bars that overlap show that there is no difference</summary>✗
# They show that these runs cannot tell. “Not decided” is not “equal”.</details>
#
# **2. One line averages all runs on clothes by method, and <code>probe</code> comes out ahead of
# <code>patch</code>. Why is that worthless?**
# <details><summary>The number of runs is too small: with more seeds the line would be right</summary>✗ More
# seeds of every setting give the mixture a sharper mean. It remains a mixture.</details>
# <details><summary><code>probe</code> was run on more easy tasks: plain pictures, and many of them</summary>✓
# The line compares mixtures, not methods. Fix everything but the method, and look again.</details>
# <details><summary>The intervals are missing: with a bar at each mean the line would be right</summary>✗ A
# bar would say how sure the mean of a mixture is. What it is a mean of stays wrong.</details>
#
# **3. On encrypted pictures somebody raises the rank of <code>lora</code>, on queries and values, from 4 to 16. What
# does the patch embedding get from it?**
# <details><summary>Four times as many numbers to train: LoRA grows with its rank</summary>✗ LoRA grows, but it
# sits on queries and values. Nothing of it is on the patch embedding.</details>
# <details><summary>A little: gradients reach it by way of the layers behind, which learn more</summary>✗ A
# gradient may pass, but a weight that is frozen does not move by it.</details>
# <details><summary>Nothing: it reads the pixels first, and stays frozen at every rank</summary>✓ Rank does not
# touch it. Layers behind may make up for a part, from what it hands on. Only a method that trains it can change how
# it reads.</details>
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
# - The tables hold what **this** small world gave: ViTs of 1.2 and 5.4 million parameters and small pictures. They do not
#   say what ViT-B/16 does on yours.
# - Choosing the best of many private runs is one more look at the data: the $\varepsilon$ of the chosen run
#   does not include it (Papernot and Steinke 2021, arXiv 2110.03620).
# - Seeds vary the start, the order and the key, not the test images.
#
# **Starred task, with no check.** Write a paragraph that recommends a method for 50,000 parameters on encrypted
# clothes. It names the mean, the interval, the number of seeds, the runner-up and the interval of the pairs, and it says what would change
# your mind.
