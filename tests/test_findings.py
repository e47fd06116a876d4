"""Every number of the findings, of README's and of some lessons', from the tables again."""

from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import beta, f

from figures.studies.crossed import spread
from figures.studies.opened import share_opened
from lorakit import read_table
from lorakit.experiments.audit import detections
from lorakit.experiments.presets import MLP
from lorakit.figures.paired import paired_differences, verdict
from lorakit.figures.style import CIPHER_SHOWN
from lorakit.figures.tables import with_usual_lora

from .pages import FOUND, LESSON_07, LESSON_A2, MORE, README, TABLES

SHOWN = ("full", "lora+patch", "lora", "patch")


def test_the_numbers_on_every_cipher():
    rows = with_usual_lora(read_table(TABLES / "results.csv"))
    ciphers = ("none", CIPHER_SHOWN, "scramble+" + CIPHER_SHOWN)
    cells = rows.groupby(["method", "cipher"])["accuracy"].agg(["mean", "size"])
    assert (cells["size"] == 5).all()
    said = ("plain", "shuffled only", "encrypted", "encrypted, blocks scrambled too")
    for cipher, words in zip((*ciphers[:1], "shuffle", *ciphers[1:]), said):
        line = [f"{100 * cells['mean'][m, cipher]:.1f}" for m in (*SHOWN, "probe")]
        assert f"| 4,000 clothes, {words} | 5 | {' | '.join(line)} |" in FOUND
    larger = read_table(TABLES / "larger.csv")
    assert (larger.groupby(["method", "cipher"])["seed"].nunique() == 5).all()
    leads = {
        (backbone, other): paired_differences(table, other)
        .set_index(["cipher", "method"])
        .xs("lora+patch", level="method")
        for backbone, table in (("vit_micro", rows), ("vit_mini", larger))
        for other in ("full", "lora", "lora+patch+pos")
    }
    ciphers = ("none", "shuffle", *ciphers[1:])
    told = {key: [verdict(line.loc[c], 0.01) for c in ciphers] for key, line in leads.items()}
    assert told["vit_micro", "full"] == ["within", "within", "within", "undecided"]
    assert told["vit_mini", "full"] == ["within", "undecided", "within", "undecided"]
    ahead = {key: (line["low"] > 0)[[*ciphers]].tolist() for key, line in leads.items()}
    assert ahead["vit_micro", "lora"] == [False, True, True, True]
    assert ahead["vit_mini", "lora"] == [False, False, True, False]
    for backbone in ("vit_micro", "vit_mini"):
        assert verdict(leads[backbone, "lora"].loc["none"], 0) == "undecided"
        assert (leads[backbone, "lora+patch+pos"]["high"] > 0).all()  # never told to be behind
    full, lora = (100 * leads["vit_micro", o].loc[CIPHER_SHOWN] for o in ("full", "lora"))
    words = (
        "is {:.1f} points behind `full` ({:.1f} to {:.1f}) and {:.1f} ahead of `lora` ({:.1f} to "
    )
    words += "{:.1f})"
    behind = -full[["difference", "high", "low"]].astype(float)
    told = words.format(*behind, *lora[["difference", "low", "high"]])
    assert told in FOUND and told in README
    every = read_table(TABLES / "results.csv").query("cipher == @CIPHER_SHOWN")
    wide = every["method"].eq("lora") & every["rank"].eq(16)
    pair = every[wide | every["method"].eq("lora+patch") & every["rank"].eq(4)]
    sizes = pair.groupby("method")["trainable"].first()
    words = (
        f"trains {sizes['lora']:,} numbers where `lora+patch` trains {sizes['lora+patch']:,}, no"
    )
    lead = lead_over(pair, "lora")
    assert words in FOUND and lead["low"] < 0 < lead["high"]
    assert "lead shows: {difference:.1f} ({low:.2f} to {high:.1f})".format(**lead) in FOUND
    full, lora = (100 * leads["vit_mini", o].loc[CIPHER_SHOWN] for o in ("full", "lora"))
    words = "on `vit_mini` {:.1f} behind ({:.1f} to {:.1f}) and {:.1f} ahead ({:.1f} to {:.1f})."
    behind = -full[["difference", "high", "low"]].astype(float)
    assert words.format(*behind, *lora[["difference", "low", "high"]]) in FOUND
    line = 100 * leads["vit_micro", "lora"].loc[ciphers[3], ["difference", "low", "high"]]
    assert "by {:.1f} points ({:.1f} to {:.1f}) where blocks are scrambled".format(*line) in FOUND


def test_the_numbers_on_photographs():
    rows = read_table(TABLES / "claim.csv")
    rows = rows[rows["cipher"].eq(CIPHER_SHOWN) & rows["backbone"].eq("vit_micro")]
    seeds = set.intersection(*(set(part["seed"]) for _, part in rows.groupby("method")))
    rows = rows[rows["seed"].isin(seeds)]
    mean = 100 * with_usual_lora(rows).groupby("method")["accuracy"].mean()
    mean = mean.map("{:.1f}".format)[[*SHOWN]]
    assert f"| 10,000 clothes, encrypted | {len(seeds)} | {' | '.join(mean)} | – |" in FOUND
    lines = {}
    for other in ("full", "lora", "patch"):
        found = paired_differences(rows, other).set_index("method").loc["lora+patch"]
        lines[other] = found
    full, lora, patch = ([100 * line[n] for n in ("low", "high")] for line in lines.values())
    share = 100 * lines["full"]["share"]
    for sentence in (
        f"`lora+patch` is {-100 * lines['full']['difference']:.1f} points behind full fine-tuning "
        f"(95 % interval {-full[1]:.1f} to {-full[0]:.1f}), with {share:.1f} % of the parameters",
        f"it is a little ahead of `patch` (by {patch[0]:.1f} to {patch[1]:.1f}) and of `lora` "
        f"(by {lora[0]:.1f} to {lora[1]:.1f}).",
    ):
        assert sentence in FOUND
    behind = -100 * paired_differences(rows).set_index("targets").loc[MLP, ["high", "low"]]
    lead = lead_over(elsewhere(rows), "lora")
    assert behind["low"] < 1 and lead["high"] < 0
    assert (
        f"at most one point behind `full` ({behind['high']:.1f} to {behind['low']:.1f}) and "
        f"{-lead['difference']:.1f} ahead of `lora+patch` ({-lead['high']:.1f} to "
        f"{-lead['low']:.1f})"
    ) in FOUND
    words = "{:.1f} ahead of `lora+patch` ({:.1f} to {:.1f})"
    assert words.format(*(-lead[name] for name in ("difference", "high", "low"))) in README
    words = "it fails: {:.1f} points behind ({:.1f} to {:.1f})."
    assert words.format(*(-100 * lines["full"][["difference", "high", "low"]])) in README
    assert verdict(lines["full"], 0.01) == "beyond"
    assert lora[0] > 0 and patch[0] > 0


def test_the_papers_share_on_the_larger_backbone():
    rows = read_table(TABLES / "claim.csv").query("backbone == 'vit_mini'")
    found = paired_differences(rows).set_index(["method", "rank"])
    share = found.loc[("lora+patch", 1.0), "share"]
    line, usual = found.loc["lora+patch", 1.0], found.loc["lora+patch", 4.0]
    assert line["share"] < 0.01 and line["pairs"] == usual["pairs"] == 10
    assert (verdict(line, 0.01), verdict(usual, 0.01)) == ("undecided", "beyond")
    words = "{:.1f} points behind ({:.2f} to {:.1f}", "{:.1f} points behind ({:.1f} to {:.1f}"
    line, usual = (
        text.format(*-100 * cell[["difference", "high", "low"]])
        for text, cell in zip(words, (line, usual))
    )
    for other, rank in product(("patch", "lora"), (4.0, 1.0)):
        pair = rows[
            rows["method"].eq(other) | rows["method"].eq("lora+patch") & rows["rank"].eq(rank)
        ]
        told = "{:.2f} ({:.2f} to {:.2f})".format(*lead_over(pair, other).values())
        assert told in FOUND
    few = rows[rows["seed"] < 8]
    first = paired_differences(few).set_index(["method", "rank"]).loc["lora+patch"]
    assert [verdict(first.loc[rank], 0.01) for rank in (1.0, 4.0)] == ["beyond", "undecided"]
    assert f"eight of them on a GPU) `lora+patch` is {usual.replace(' (', ' `full` (')})" in FOUND
    assert f"it trains {share:.1%}, the paper's share, and is {line})".replace("%", " %") in FOUND
    assert f"the line of one point stays open: it is {line})." in README
    first = rows[rows["method"].eq("patch") | rows["rank"].eq(1)]
    told = "{:.2f} over `patch` ({:.2f} to {:.2f})".format(*lead_over(first, "patch").values())
    assert told in README
    assert (rows.groupby("seed")["device"].nunique() == 1).all()  # so pairs are of one device


def test_the_numbers_on_painted_clothes():
    rows = read_table(TABLES / "painted.csv")
    assert (rows.groupby(["method", "targets"], dropna=False)["seed"].nunique() == 5).all()
    line = 100 * with_usual_lora(rows).groupby("method")["accuracy"].mean()
    words = "4,000 clothes in random colours, encrypted"
    assert f"| {words} | 5 | {' | '.join(line.map('{:.1f}'.format)[[*SHOWN]])} | – |" in FOUND
    lines = {other: lead_over(rows, other) for other in ("full", "lora", "patch")}
    lines["elsewhere"] = lead_over(elsewhere(rows), "lora")
    said = {
        "full": "at most a point behind `full` ({difference:.1f} ahead, interval {low:+.1f} to "
        "{high:+.1f})",
        "lora": "{difference:.1f} points ahead of `lora` ({low:.1f} to {high:.1f})",
        "elsewhere": "{difference:.1f} ahead of LoRA behind the attention, which trains as many "
        "parameters ({low:.1f} to {high:.1f})",
        "patch": "ver `patch` the lead is small ({low:.1f} to {high:.1f}",
    }
    for other, words in said.items():
        assert words.format(**lines[other]) in FOUND
    unstable = 100 * rows[rows["targets"].eq(MLP)]["accuracy"].agg(["min", "max"])
    assert "results from {:.1f} to {:.1f} %".format(*unstable) in FOUND
    tries = read_table(TABLES / "painted_trials.csv")
    assert f"one seed chose among {tries['targets'].eq(MLP).sum()}" in FOUND
    tries = tries["method"].value_counts()
    assert f"had {tries['lora+patch']} tries of rates, `patch` {tries['patch']}" in FOUND
    assert f"same clothes in random colours, {lines['lora']['difference']:.0f} points." in README
    assert said["lora"].format(**lines["lora"]) in README
    assert "{difference:.1f} ahead of LoRA behind".format(**lines["elsewhere"]) in README
    assert said["patch"].format(**lines["patch"]) in README
    assert lines["full"]["low"] > -1  # so the claim holds
    assert all(lines[other]["low"] > 0 for other in ("lora", "patch", "elsewhere"))


def lead_over(rows, other):
    """Of ``lora+patch``, in points: difference, low and high."""
    line = paired_differences(rows, other).set_index("method").loc["lora+patch"]
    return (100 * line[["difference", "low", "high"]]).to_dict()


def elsewhere(rows):
    """``lora+patch``, and LoRA behind the attention, with as many parameters (to a hundredth)."""
    found = rows[rows["method"].eq("lora+patch") | rows["targets"].eq(MLP)]
    assert np.ptp(found["trainable"]) < 0.01 * found["trainable"].max()
    return found


def test_what_spreads_the_results():
    rows = read_table(TABLES / "crossed.csv")
    rows = rows.assign(key_seed=rows["key_seed"].fillna(rows["seed"]))
    found = {m: (100 * spread(part)).round(1).tolist() for m, part in rows.groupby("method")}
    words = "{:.1f} points, the seed's as {:.1f} and what is left as {:.1f} for `lora+patch`"
    assert words.format(*found["lora+patch"]) in FOUND
    assert "for `full` {:.1f}, {:.1f} and {:.1f} (".format(*found["full"]) in FOUND
    assert "up to half a point for the key could have gone unseen" in FOUND
    assert 0.004 < most_of_the_key(rows[rows["method"] == "lora+patch"]) < 0.006
    usual = read_table(TABLES / "results.csv").set_index("id")["accuracy"]
    alike = rows[rows["key_seed"] == rows["seed"]].set_index("id")["accuracy"]
    assert len(alike) == 6 and (usual[alike.index] == alike).all()  # the very same runs


def most_of_the_key(rows):
    """The upper end of a 95 % interval of the key's standard deviation: F, in a two-way layout."""
    grid = rows.pivot(index="key_seed", columns="seed", values="accuracy")
    keys, seeds = grid.shape
    left, means = spread(rows)["rest"] ** 2, seeds * grid.mean(axis=1).var()
    low = f.ppf(0.025, keys - 1, (keys - 1) * (seeds - 1))
    return (max(means / low - left, 0) / seeds) ** 0.5


def test_how_many_clothes_open_the_others():
    rows = pd.read_csv(TABLES / "opened.csv")
    opened = rows.groupby(["cipher", "pieces"])["opened"].agg(["mean", "min", "max", "size"])
    assert (opened.pop("size") == 10).all()
    told = opened.map("{:.0%}".format).replace("%", "", regex=True)
    (in_place, all_in_place), (mixed, all_mixed) = (
        [told.loc[cipher, pieces] for pieces in (1, 4)]
        for cipher in (CIPHER_SHOWN, "scramble+" + CIPHER_SHOWN)
    )
    words = (
        f"does so in {in_place['mean']} % of the cases where blocks stay in place, as in most of "
    )
    words += f"these tables, and in {mixed['mean']} % where they are scrambled, too "
    words += f"({mixed['min']} to {mixed['max']} %, ten keys); four pieces do in "
    assert f"{words}{all_in_place['mean']} and {all_mixed['mean']} %" in FOUND
    words = f"in {in_place['mean']} % of the cases where blocks stay in place, and in about half"
    assert words in README and 0.4 < opened["mean"].iloc[0] < 0.6
    cipher, key_seed, pieces, share = rows.query("pieces == 4").values[0]  # measured again
    assert share_opened(cipher, key_seed, pieces) == share


def test_the_counts_of_audits():
    every = detections(pd.read_csv(TABLES / "audits.csv"))
    assert (
        not every.query("attack == 'losses'")["refuted"].any() and "losses it caught none" in FOUND
    )
    found = every.query("attack == 'curve'")
    refuted = found.set_index("variant")["refuted"]
    assert (found["audits"] == 20).all() and (refuted == 20).sum() == 5
    assert refuted["correct"] == 0 and refuted["shuffled"] == 0
    assert "caught five bugs in 20 of 20 tries each" in FOUND
    assert "caught five in 20 of 20 tries each" in README
    assert f"so up to {beta.ppf(0.975, 1, 20):.0%} may".replace("%", " %") in FOUND
    audits = pd.read_csv(TABLES / "audits.csv").query("variant == 'correct'")
    bound, claimed = audits["curve"].mean(), audits["claimed"].max()
    assert f"an ε of at least {bound:.1f} on average, where {claimed:.1f} is claimed" in FOUND
    pair = every.query("attack == 'gradients'").set_index("variant")["refuted"]
    lies = sorted(pair.drop(["correct", "shuffled"]))
    assert f"four in {lies[1]} to {lies[-1]} tries and one in {lies[0]})" in FOUND
    assert len(lies) == 5 and pair["correct"] == 0
    assert "accused the correct code in none of 20" in FOUND


def test_the_numbers_of_a_private_step():
    rows = pd.read_csv(TABLES / "benchmark.csv").query("backbone.str.contains('base')")
    rows = rows[rows["mode"].eq("hooks")].set_index("method")
    patch, full = (rows.loc[method] for method in ("lora+patch", "full"))
    words = (
        "takes {:.2f} × the time of a plain one on a CPU (8 pictures a step; half of all rounds lie"
    )
    words += " between {:.2f} and {:.2f}, so no price is seen) and {:.2f} × the memory"
    told = patch[["seconds_ratio", "seconds_ratio_q1", "seconds_ratio_q3", "peak_memory_mb_ratio"]]
    assert words.format(*told) in FOUND and told.iloc[1] < 1 < told.iloc[2]
    assert (rows["batch"] == 8).all() and (rows["rounds"] >= 9).all()
    words = "for `full` {:.1f} × and {:.1f} ×"
    slow = words.format(full["seconds_ratio"], full["peak_memory_mb_ratio"])
    rows = pd.read_csv(TABLES / "gpu.csv").query("backbone.str.contains('base', na=False)")
    rows = rows.query("precision == 'bf16' and part == 'step'").set_index(["mode", "method"])
    patch = rows.loc[("hooks", "lora+patch"), ["ratio", "ratio_q1", "ratio_q3", "memory_ratio"]]
    full, ghost = (
        rows.loc[(mode, "full"), ["ratio", "memory_ratio"]].tolist() for mode in ("hooks", "ghost")
    )
    words = "{:.2f} × ({:.2f} to {:.2f}) and {:.2f} × on an H100 in bfloat16"
    assert words.format(*patch) in FOUND
    assert "{}, {:.1f} × and {:.1f} × (".format(slow, *full) in FOUND
    assert "ghost clipping instead of hooks {:.1f} × and {:.1f} ×".format(*ghost) in FOUND
    words = (
        "takes {:.2f} × the time of its plain step; `full` takes {:.1f} × the time and four times"
    )
    assert words.format(patch["ratio"], full[0]) in README and round(full[1]) == 4
    assert f"({ghost[1]:.1f} × with ghost clipping)" in README


def test_the_times_of_lesson_a2():
    rows = pd.read_csv(TABLES / "benchmark.csv").query("mode == 'hooks'").set_index("method")
    times, memory = rows.loc["full", "seconds_ratio"], rows.loc["full", "peak_memory_mb_ratio"]
    words = "`full` takes {:.1f} to {:.1f} times as long, and on the larger model {:.1f} times the"
    assert words.format(times.min(), times.max(), memory.max()) in LESSON_A2
    words = "and {:.1f} times the memory (on a CPU); one of `lora+patch` takes no more time that we"
    assert words.format(memory.max()) in LESSON_07 and 2 < times.min() < 2.5
    patch = rows.loc["lora+patch"].set_index("backbone")
    assert (
        f"{patch['peak_memory_mb_ratio'].min() - 1:.0%} more memory".replace("%", " %") in LESSON_07
    )
    small = patch.loc["vit_micro", "seconds_ratio"]
    assert round(10 * (small - 1)) == 3 and "takes three tenths more time than a plain" in LESSON_A2


def test_what_synthetic_pictures_teach():
    """As lesson A1 says it; two standard errors of a difference are about a point."""
    worth = 100 * pd.read_csv(TABLES / "sources.csv").set_index("name")["probe"]
    alone = worth[["letters", "fractals", "bodies"]]
    assert np.ptp(alone) < 1 and worth["textures"] < worth["pixels"] - 1
    assert abs(worth["letters+bodies+fractals+textures"] - worth["letters"]) < 1
    assert worth["vit_micro"] > alone.max() + 1 and worth["vit_mini"] > worth["vit_micro"] + 1


def test_what_a_gpu_makes_of_the_papers_preset():
    rows = pd.read_csv(TABLES / "gpu.csv").set_index("part")
    assert f"in {rows.loc['dry-run', 'seconds']:.0f} s." in MORE
    assert f"estimates at {rows.loc['estimate', 'hours'].sum():.1f} hours" in MORE


def test_where_the_time_of_a_private_step_goes():
    share = pd.read_csv(TABLES / "benchmark_parts.csv")["share"]
    words = "{:.0%} in the gradients themselves, {:.0%} in Opacus' hooks, {:.0%} in filling and"
    assert words.format(*share).replace("%", " %") in MORE and abs(share.sum() - 1) < 0.01
