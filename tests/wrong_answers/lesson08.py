"""Wrong answers people give in lesson 08, and words the verdict has to contain."""

WRONG = {
    "08.advantage": [
        (
            "accuracy of the best threshold",
            """
def advantage(scores, members):
    return max(((scores >= t) == members).float().mean() for t in scores)
""",
        ),
        (
            "one threshold",
            """
def advantage(scores, members):
    said = scores >= scores.median()
    return said[members].float().mean() - said[~members].float().mean()
""",
        ),
        (
            "equal scores get the same guess",
            """
def advantage(scores, members):
    truth = members[scores.argsort(descending=True, stable=True)]
    tpr = truth.cumsum(0) / truth.sum()
    fpr = (~truth).cumsum(0) / (~truth).sum()
    return (tpr - fpr).max()
""",
        ),
        (
            "area under the ROC curve",
            """
def advantage(scores, members):
    from sklearn.metrics import roc_auc_score
    return roc_auc_score(members.numpy(), scores.numpy())
""",
        ),
        (
            "always wrong is no advantage",
            """
def advantage(scores, members):
    said = scores[None, :] >= scores.unique()[:, None]
    gap = said[:, members].float().mean(dim=1) - said[:, ~members].float().mean(dim=1)
    return gap.abs().max()
""",
        ),
    ],
    "08.bound": [
        (
            "point estimate",
            """
def epsilon_bound(correct, guesses, confidence):
    return math.log(correct / (guesses - correct))
""",
        ),
        (
            "two-sided",
            """
def epsilon_bound(correct, guesses, confidence):
    p = binomtest(correct, guesses).proportion_ci(confidence).low
    return max(0.0, math.log(p / (1 - p)))
""",
        ),
        (
            "base 10",
            """
def epsilon_bound(correct, guesses, confidence):
    p = beta.ppf(1 - confidence, correct, guesses - correct + 1)
    return max(0.0, np.log10(p / (1 - p)))
""",
        ),
        (
            "base 2",
            """
def epsilon_bound(correct, guesses, confidence):
    p = beta.ppf(1 - confidence, correct, guesses - correct + 1)
    return max(0.0, np.log2(p / (1 - p)))
""",
        ),
        (
            "never negative",
            """
def epsilon_bound(correct, guesses, confidence):
    p = beta.ppf(1 - confidence, correct, guesses - correct + 1)
    return math.log(p / (1 - p))
""",
        ),
    ],
    "08.region": [
        (
            "forgot the other line",
            """
def largest_tpr(fpr, epsilon, delta):
    return (math.exp(epsilon) * fpr + delta).clamp(max=1)
""",
        ),
        (
            "a rate above 1",
            """
def largest_tpr(fpr, epsilon, delta):
    return math.exp(epsilon) * fpr + delta
""",
        ),
        (
            "delta is missing",
            """
def largest_tpr(fpr, epsilon, delta):
    first = math.exp(epsilon) * fpr
    return torch.minimum(first, 1 - (1 - fpr) * math.exp(-epsilon)).clamp(max=1)
""",
        ),
        (
            "at most 1",
            """
def largest_tpr(fpr, epsilon, delta):
    first = math.exp(epsilon) * fpr + delta
    return torch.minimum(first, 1 - (1 - fpr - delta) * math.exp(-epsilon))
""",
        ),
    ],
    "08.ratio": [
        (
            "-log s is missing",
            """
def ratio(value, inside, outside):
    def log_density(group):
        return -((value - group.mean()) ** 2) / (2 * group.var(correction=0))
    return log_density(inside) - log_density(outside)
""",
        ),
        (
            "upside down",
            """
def ratio(value, inside, outside):
    def log_density(group):
        s = group.std(correction=0)
        return -s.log() - (value - group.mean()) ** 2 / (2 * s**2)
    return log_density(outside) - log_density(inside)
""",
        ),
        (
            "take its logarithm",
            """
def ratio(value, inside, outside):
    def density(group):
        s = group.std(correction=0)
        return (-((value - group.mean()) ** 2) / (2 * s**2)).exp() / s
    return density(inside) / density(outside)
""",
        ),
    ],
}
