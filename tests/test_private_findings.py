"""Every number of the findings under differential privacy, from the tables again."""

import numpy as np
import pandas as pd

from lorakit import Experiment, load, read_table
from lorakit.figures.paired import paired_differences, verdict
from lorakit.figures.style import CIPHER_SHOWN
from lorakit.figures.tables import half_width
from lorakit.privacy.accountant import compute_epsilon

from .pages import FOUND, LESSON_07, README, TABLES

BUDGETS = (0.5, 1.0, 2.0, 3.0, 8.0, np.inf)
SHORT = {"epochs": 4, "batch_size": 512, "epsilon": 2.0}  # the recipe with 10,000
LEADING = ("lora", "lora+patch", "patch")


def leads_under_privacy(name, photographs, others=()):
    """Of ``lora+patch`` over the head at each epsilon; FOUND must have a line for each method."""
    rows = read_table(TABLES / f"{name}.csv")
    assert set(rows["train"]) == {photographs}
    for method in ("probe", "lora+patch", *others):
        shown = "the head alone" if method == "probe" else f"`{method}`"
        cells = [rows[rows["method"].eq(method) & rows["epsilon"].eq(e)] for e in BUDGETS]
        assert all(len(cell) == 5 for cell in cells)
        numbers = " | ".join(f"{100 * cell['accuracy'].mean():.1f}" for cell in cells)
        assert f"| {shown}, {photographs:,} photographs | {numbers} |" in FOUND
    both = rows[rows["method"].isin(["probe", "lora+patch"])].groupby("epsilon")
    return {budget: paired_differences(cell, "probe").iloc[0] for budget, cell in both}


def test_all_the_photographs_under_privacy():
    leads = leads_under_privacy("mark", 60_000)
    told = {e: verdict(line, 0) for e, line in leads.items()}
    assert told == {e: "undecided" if e in (2, 3) else "beyond" for e in BUDGETS}
    assert [line["difference"] > 0 for e, line in leads.items() if e not in (2, 3)] == [0, 0, 1, 1]
    words = "`lora+patch` at 8 (by {:.1f} points) and without noise (by {:.1f})"
    assert words.format(*(100 * leads[e]["difference"] for e in (8.0, np.inf))) in FOUND
    assert 0.86 < leads[3.0]["accuracy"] < 0.897  # above the published CNN, below scattering
    reached = 100 * leads[3.0]["accuracy"] - np.array([0, 100 * leads[3.0]["difference"]])
    assert "at ε = 3 it reaches {:.1f} % and the head {:.1f} (".format(*reached) in README
    again = pd.read_csv(TABLES / "scattering.csv").query("eval_split == 'test'")["accuracy"]
    assert f"the latter, again in our harness: {100 * again.mean():.2f}" in FOUND
    tries = read_table(TABLES / "mark_trials.csv")["method"].value_counts()
    words = f"one rate, with {tries['lora+patch']} tries, and the head alone had {tries['probe']}"
    assert words in FOUND
    fewer = leads_under_privacy("privacy", 10_000, others=("lora", "full"))
    lead = 100 * pd.DataFrame([[few[e]["difference"] for e in BUDGETS] for few in (fewer, leads)])
    taken = lead.sub(lead[5], axis=0)  # by noise
    assert (taken.loc[1, :4] < taken.loc[0, :4]).all() and (lead.loc[1] - lead.loc[0] > 1).all()
    told = [f"{-taken.loc[few, e]:.1f}" for few, e in ((1, 4), (1, 0), (0, 4), (0, 0))]
    words = "{} points at $\\varepsilon = 8$ and {} at 0.5, against {} and {} with 10,000"
    assert words.format(*told) in LESSON_07


def test_the_numbers_under_privacy():
    leads = leads_under_privacy("privacy", 10_000)
    for epsilon, line in leads.items():
        told = "undecided" if epsilon == np.inf else "beyond"
        assert verdict(line, 0) == told and line["difference"] < 0
    rows = read_table(TABLES / "privacy.csv")
    for better, worse in (("lora", "lora+patch"), ("full", "lora+patch"), ("lora", "probe")):
        both = rows[rows["method"].isin([better, worse]) & np.isfinite(rows["epsilon"])]
        ahead = [paired_differences(cell, worse).iloc[0] for _, cell in both.groupby("epsilon")]
        assert all((line["low"] > 0) == (worse != "probe") for line in ahead)
    tries = read_table(TABLES / "privacy_trials.csv")["method"].value_counts()
    words = "head {probe}, `lora` {lora}, `patch` {patch}, `lora+patch` {lora+patch}, `full` {full}"
    assert words.format(**tries) in FOUND and set(rows["max_grad_norm"]) == {1.0}
    size = rows.groupby("method")["trainable"].first()
    assert f"`full`, with {size['full'] / size['lora+patch']:.0f} times as many" in FOUND
    lora = [rows[rows["method"].eq("lora+patch") & rows["epsilon"].eq(e)] for e in BUDGETS]
    others = rows[rows["method"].isin(["lora+patch", "patch"])].groupby("epsilon")
    lines = {e: paired_differences(cell, "patch").iloc[0] for e, cell in others}
    ahead = {e for e, line in lines.items() if verdict(line, 0) == "beyond" and line["low"] > 0}
    assert ahead == {8.0, np.inf} and "above zero at 8 and without noise" in FOUND
    strict, free = (
        np.mean([list(map(float, found.split())) for found in lora[n]["accuracy_by_class"]], axis=0)
        for n in (0, -1)
    )
    shirt = load("fashion", train=10, val=0, test=10).classes.index("shirt")
    assert (free - strict).argmax() == shirt
    assert f"finds {free[shirt]:.0%} without noise and {strict[shirt]:.0%} at ε = 0.5".replace(
        "%", " %"
    ) in FOUND  # fmt: skip


def test_what_a_part_that_hardly_moves_costs():
    """As lesson 07 says it; and the GPU's runs of ``lora`` are those of the CPU, but for chance."""
    rows = read_table(TABLES / "clipped.csv")
    noisy, free = (
        paired_differences(rows[rows["epsilon"].eq(e)], "lora").iloc[0] for e in (2.0, np.inf)
    )
    assert verdict(noisy, 0) == verdict(free, 0) == "beyond"
    points = [-100 * noisy[name] for name in ("difference", "high", "low")]
    words = "it costs {:.1f} points ({:.1f} to {:.1f}) even if it hardly moves"
    words += ", and {:.1f} without noise"
    assert words.format(*points, -100 * free["difference"]) in FOUND
    every = read_table(TABLES / "privacy.csv").query("epsilon == 2").set_index(["method", "seed"])
    both = rows[rows["method"].eq("lora") & rows["epsilon"].eq(2)].set_index("seed")["accuracy"]
    devices, cost = (100 * (both - every["accuracy"][method]) for method in ("lora", "lora+patch"))
    words = "to train it costs {:.1f} points ({:.1f} to {:.1f}) at rates searched for it."
    assert words.format(*mean_and_ends(cost)) in FOUND and len(both) == 5
    words = "which ran on both, that makes {:.1f} points (up to {:.1f} is possible"
    assert words.format(*mean_and_ends(devices)[::2]) in FOUND


def mean_and_ends(points):
    """The mean, and the ends of its 95 % interval; of a column, or of each group."""
    half = half_width(points.sem(), points.count())
    return points.mean(), points.mean() - half, points.mean() + half


def test_what_a_norm_for_each_part_gives_back():
    """To FOUND and lesson 07."""
    same = ["epsilon", "seed"]
    norms = {
        m: runs.set_index(same)["accuracy"]
        for m, runs in read_table(TABLES / "apart.csv").groupby("method")
    }
    apart = norms["lora+patch"]
    for runs in norms.values():
        assert runs.groupby("epsilon").count().to_dict() == {0.5: 5, 2.0: 5, 8.0: 5, np.inf: 5}

    def over(table, method, apart=apart):
        rows = read_table(TABLES / f"{table}.csv").query(f"method == '{method}'")
        return ends_by_epsilon(apart - rows.set_index(same)["accuracy"])

    gain, low, high = over("privacy", "lora+patch")
    private, told = gain[[0.5, 2.0, 8.0]], "{:.1f} ({:.1f} to {:.1f})"
    three = [told.format(gain[e], low[e], high[e]) for e in private.index]
    three[-1] = three[-1].replace(" (", " points (")
    assert "gains {}, {} and {} at ε = 0.5, 2 and 8".format(*three) in FOUND
    assert f"gives back {private.min():.1f} to {private.max():.1f} points." in README
    assert (low > 0).all() and (private > 1.5).all()
    own, low, high = over("privacy", "lora", norms["lora"])
    assert f"({own[2.0]:.1f} at ε = 2; {low[2.0]:.1f} to {high[2.0]:.1f})" in FOUND
    assert (low < 0).all() and (high > 0).all()
    lag, high, low = (-x for x in ends_by_epsilon(apart - norms["lora"]))  # all on a CPU
    assert [low[e] > 0 for e in (0.5, 2.0, 8.0, np.inf)] == [True, True, False, False]
    first, second = (told.format(lag[e], low[e], high[e]) for e in (0.5, 2.0))
    assert f"is still behind, by {first} at ε = 0.5 and {second} at 2" in FOUND
    assert "ahead, by " + second.replace(" (", r" points at $\varepsilon = 2$ (") in LESSON_07
    behind, low, high = over("privacy", "lora")
    assert (low < 0).all() and (high > 0).all()
    way = (private / (private - behind[private.index])).tolist()  # of the way to `lora`
    assert 0.5 < min(way) < 0.6 and 0.75 < max(way) < 0.85
    assert "half to four fifths of the way to `lora`" in FOUND
    lead, low, high = over("clipped", "lora")  # on one device
    assert high[2.0] < 0 < high[np.inf]
    lead, low, high = over("privacy", "probe")
    assert (high[[0.5, 2.0]] > 0).all() and (low[[0.5, 2.0]] < 0).all()
    words = f"at 8 it is {-lead[8.0]:.1f} behind, which is less than two devices differ by, and "
    words += f"without noise {lead[np.inf]:.1f} ahead ({low[np.inf]:.1f} to {high[np.inf]:.1f})"
    assert words in FOUND
    assert "at 8 they differ by less than two devices do" in LESSON_07
    tables = [read_table(TABLES / f"{name}.csv") for name in ("clipped", "privacy")]
    lora = [rows.query("method == 'lora' and epsilon == 2")["accuracy"] for rows in tables]
    devices = [100 * accuracy.mean() for accuracy in lora]
    assert abs(lead[8.0]) < abs(devices[0] - devices[1])
    lead, low, high = over("clipped", "lora+patch")  # which hardly moves
    assert low[2.0] > 2 and round(lead[2.0]) == 3 and low[np.inf] < 0 < high[np.inf]
    mine, others = (
        len(read_table(TABLES / f"{name}_trials.csv").query("method == 'lora+patch'"))
        for name in ("apart", "privacy")
    )
    assert f"({mine} tries of rates, against {others})" in FOUND
    assert f"had {mine} tries of rates, against {others} with one norm" in LESSON_07


def ends_by_epsilon(difference):
    """Points at each epsilon: mean, and the ends of its interval; pairs without a partner go."""
    return mean_and_ends((100 * difference).dropna().groupby("epsilon"))


def test_the_numbers_of_encrypted_and_private():
    rows = read_table(TABLES / "public.csv")
    ways = {"plain": rows["cipher"].eq("none"), "first": rows["public"].notna()}
    ways["encrypted"] = ~ways["plain"] & ~ways["first"]
    plain, first, secret = (
        rows[mine].pivot(index="seed", columns="epsilon", values="accuracy")
        for mine in ways.values()
    )
    assert all(cell.shape == (5, 3) for cell in (plain, first, secret))
    trials = read_table(TABLES / "public_trials.csv")
    tried = trials.groupby([trials["cipher"], trials["public"].notna()]).size()
    order = ("none", False), (CIPHER_SHOWN, False), (CIPHER_SHOWN, True)
    words = "({} tries on plain pictures, {} on encrypted ones and {} after public"
    assert words.format(*(tried[way] for way in order)) in LESSON_07
    words = "`lora+patch` reaches {:.1f} % on plain pictures and {:.1f} % on encrypted ones"
    assert words.format(*(100 * cell[3.0].mean() for cell in (plain, secret))) in FOUND
    gain = 100 * (first - secret)
    mean, low, high = mean_and_ends(gain[3.0])
    assert f"brings {mean:.1f} points back** (interval {low:.1f} to {high:.1f}" in FOUND
    assert f"brings {mean:.1f} points back ({low:.1f} to {high:.1f}) at ε = 3" in README
    left = 100 * (first - plain)
    price, low, high = mean_and_ends(-left[3.0])
    assert f"is {price:.1f} points ({low:.1f} to {high:.1f}), which may be nothing" in FOUND
    assert f"price of encryption is {price:.1f} ({low:.1f} to {high:.1f})" in README
    assert gain.mean().round().eq(4).all() and (plain - secret).mean().mul(100).round().eq(4).all()
    mean, low, high = mean_and_ends(left)
    assert mean.between(-0.25, 0).all()  # as lesson 07 says
    assert high.between(0, 1.25).all() and low.ge(-1.25).all()


EACH = ", a norm for each part"


def encrypted_under_noise():
    """The rows of the study ``both``."""
    rows = read_table(TABLES / "both.csv")
    assert set(rows["cipher"]) == {CIPHER_SHOWN} and rows["device"].str.startswith("cpu").all()
    return with_norms_named(rows)


def with_norms_named(rows):
    """A norm for each part is said in the method's name."""
    each = np.where(rows["groupwise_clipping"].notna(), EACH, "")
    return rows.assign(method=rows["method"] + each)


def leads_in_words(rows, better, worse):
    """Points ahead: at ε = 0.5, 2, 8, without noise, and on average of the three."""
    points = 100 * rows.set_index(["method", "epsilon", "seed"])["accuracy"]
    points = (points[better] - points[worse]).unstack("epsilon")
    columns = [
        *(points[budget] for budget in (0.5, 2.0, 8.0, np.inf)),
        points.iloc[:, :3].mean(axis=1),
    ]
    found = [mean_and_ends(column) for column in columns]
    assert points.shape == (5, 4)
    return ["{:.1f} ({:.1f} to {:.1f})".format(*line) for line in found], found


def test_the_means_of_encrypted_photographs_under_noise():
    rows, budgets = encrypted_under_noise(), (0.5, 2.0, 8.0, np.inf)
    cells = rows.groupby(["method", "epsilon"])["accuracy"]
    means = 100 * cells.mean().unstack()
    assert (cells.size() == 5).all() and set(means) == {*budgets} and len(means) == 7
    for method, line in means.iterrows():
        name, norm = method.partition(",")[0], EACH if EACH in method else ", one norm"
        shown = "the head alone" if name == "probe" else f"`{name}`{norm}"
        numbers = " | ".join(f"{line[budget]:.1f}" for budget in budgets)
        assert f"| {shown}, encrypted | {numbers} |" in FOUND
    assert (means.loc["probe"] == means.min()).all()  # last, as all three say
    reached = [means.loc[name, 2.0] for name in ("probe", *(m + EACH for m in LEADING))]
    words = "it reaches {:.1f} %, `lora` {:.1f}, `lora+patch` {:.1f} and `patch` {:.1f}."
    assert words.format(*reached) in README
    plain = pd.concat(read_table(TABLES / f"{name}.csv") for name in ("privacy", "apart"))
    plain = with_norms_named(plain)
    plain = 100 * plain.query("epsilon == 2").groupby("method")["accuracy"].mean()
    costs = (plain - means[2.0]).dropna()
    assert len(costs) == 6 and costs["probe"].round() == 9
    learned = costs.index.str.contains("patch")
    least, most = costs[~learned].drop("probe").agg(["min", "max"])
    assert f"nine points and `lora` {least:.1f} to {most:.1f}; it costs the ways" in LESSON_07
    words = "train the patch embedding {:.1f} to {:.1f} points."
    assert words.format(*costs[learned].agg(["min", "max"])) in LESSON_07
    tries = read_table(TABLES / "both_trials.csv")
    apart = tries["groupwise_clipping"].notna()
    counts = tries.groupby([tries["method"], apart]).size().tolist()
    lora, lora_each, both, both_each, patch, patch_each, head = counts
    words = f"{both_each} tries for `lora+patch` with a norm for each part and {both} with one, "
    words += f"{patch_each} and {patch} for `patch`, {lora_each} and {lora} for `lora`, "
    words += f"{head} for the head"
    assert words in FOUND and words in LESSON_07
    run = Experiment.from_settings(dataset="fashion", train=10_000, **SHORT)
    q, steps = run.recipe.batch_size / run.train, run.recipe.steps(run.train)
    sigma = run.recipe.privacy.sigma(q, steps)
    paid = [compute_epsilon(sigma, q, (1 + n) * steps, 1e-5) for n in (head, both_each)]
    words = "come to {:.1f} for the head and to {:.1f} for the way with {} tries"
    assert words.format(*paid, both_each) in FOUND


def test_who_is_ahead_on_encrypted_photographs_under_noise():
    rows = encrypted_under_noise()
    lora, best, patch = (method + EACH for method in LEADING)
    for method, words in (("lora+patch", "of it by"), (best, "it is ahead by")):
        told, found = leads_in_words(rows, method, "probe")
        first = told[0].replace(" (", " points (")
        assert f"{words} {first} at ε = 0.5, {told[1]} at 2 and {told[2]} at 8." in FOUND
        assert all(low > 0 for _, low, _ in found)
    told, found = leads_in_words(rows, patch, lora)
    assert all(line[1] > 0 for line in found)
    points = told[0].replace(" (", " points (")
    assert f"ahead of `lora` by {points} at ε = 0.5, {told[1]} at 2 and {told[2]} at 8." in FOUND
    assert f"ahead of `lora` by {told[1].replace(' (', ' points (')}, as at 0.5 and 8" in README
    assert told[1] in LESSON_07
    told, found = leads_in_words(rows, best, patch)
    assert verdicts(found[:4]) == ["undecided", "beyond", "undecided", "undecided"]
    words = f"`lora+patch` minus `patch` is {told[0]} at ε = 0.5, {told[1]} at 2 and {told[2]} at 8"
    assert words in FOUND and f"({told[4].replace(' (', '; ')}" in FOUND and told[1] in LESSON_07
    assert f"(at ε = 2 {told[1].replace(' (', '; ')}" in README and found[4][1] < 0 < found[4][2]
    told, found = leads_in_words(rows, "lora+patch", "patch")
    assert verdicts(found[:3]) == ["undecided"] * 2 + ["beyond"]
    assert f"ahead of `patch` by {told[2]} at ε = 8, and open at 0.5 and 2" in FOUND
    told, found = leads_in_words(rows, best, lora)
    assert verdicts(found[:3]) == ["undecided"] * 2 + ["beyond"]
    assert f"`lora+patch` is ahead by {told[2]} at ε = 8; at 0.5 and 2" in FOUND
    assert f"({told[4].replace(' (', '; ')}, that is open" in FOUND and found[4][1] < 0
    helped = [leads_in_words(rows, name + EACH, name) for name in ("patch", "lora+patch", "lora")]
    assert all(found[4][1] > 0 for _, found in helped)
    words = "`patch` by {} points, `lora+patch` by {}, `lora` by {}."
    assert words.format(*(told[4] for told, _ in helped)) in FOUND


def verdicts(found):
    """Of each mean with its interval: on which side of zero it is, or that it is open."""
    lines = (pd.Series(each, ["difference", "low", "high"]) for each in found)
    return [verdict(line, 0) for line in lines]


def test_the_numbers_of_correlated_noise():
    same = ["method", "epsilon", "seed"]
    pairs = read_table(TABLES / "banded.csv").merge(read_table(TABLES / "privacy.csv"), on=same)
    assert all(pairs["device_x"].str.contains("H100") & pairs["device_y"].str.startswith("cpu"))
    tries = [
        len(read_table(TABLES / f"{n}_trials.csv").query("method == 'lora+patch'"))
        for n in ("banded", "privacy")
    ]
    assert "({} tries, against {})".format(*tries) in FOUND
    apart, banded = (
        read_table(TABLES / f"{n}.csv").query("method == 'lora+patch'").set_index(same[1:])
        for n in ("apart", "banded")
    )
    more, low, _ = ends_by_epsilon(apart["accuracy"] - banded["accuracy"])
    assert (
        f"gains more, by {more.min():.1f} to {more.max():.1f} points" in FOUND and (low > 0).all()
    )
    points = 100 * (pairs["accuracy_x"] - pairs["accuracy_y"])
    gain = points.groupby(pairs["epsilon"]).agg(["mean", "sem", "size"])
    half = half_width(gain["sem"], gain["size"])
    told = "{:+.1f} points at ε = 0.5, {:+.1f} at 2, {:+.1f} at 8".format(*gain["mean"])
    low, high = gain["mean"] - half, gain["mean"] + half
    assert f"{told} (95 % interval {low[8.0]:.1f} to {high[8.0]:.1f})" in FOUND
    assert ((low > 0) | (high < 0)).tolist() == [False, False, True]
    assert (low[[2.0, 8.0]].abs() < 0.05).all()
