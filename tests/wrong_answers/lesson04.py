"""Wrong answers to the exercises of lesson 04, with words of the message they must get."""

_SPLIT = "Split(encrypt(s.images, key), s.labels)"

WRONG = {
    "04.keys": [
        ("the test images are still plain", f"""
def encrypted(dataset, key):
    s = dataset.train
    train = {_SPLIT}
    s = dataset.val
    return replace(dataset, train=train, val={_SPLIT})
"""),
        ("the val images are still plain", f"""
def encrypted(dataset, key):
    s = dataset.train
    train = {_SPLIT}
    s = dataset.test
    return replace(dataset, train=train, test={_SPLIT})
"""),
        ("the train images are changed, but not by this key", """
def encrypted(dataset, key):
    parts = {}
    for name in ("train", "val", "test"):
        s = getattr(dataset, name)
        new = make_key(key.image_size, key.block_size, key.steps)
        parts[name] = Split(encrypt(s.images, new), s.labels)
    return replace(dataset, **parts)
"""),
        ("the test images are changed, but not by this key", """
def encrypted(dataset, key):
    keys = [key, key, make_key(key.image_size, key.block_size, key.steps)]
    parts = {}
    for name, k in zip(("train", "val", "test"), keys):
        s = getattr(dataset, name)
        parts[name] = Split(encrypt(s.images, k), s.labels)
    return replace(dataset, **parts)
"""),
        ("should be of type Dataset", """
def encrypted(dataset, key):
    return encrypt(dataset.train.images, key)
"""),
    ],
    "04.experiment": [
        ("lacks ['negative']", """
answer = Experiment(train=2000, cipher="shuffle", rank=8, targets="proj+fc1+fc2",
                    recipe=Recipe(epochs=3), seed=1)
"""),
        ("has ['scramble'] too many", """
answer = Experiment(train=2000, cipher="scramble+shuffle+negative", rank=8,
                    targets="proj+fc1+fc2", recipe=Recipe(epochs=3), seed=1)
"""),
        ("leaves the patch embedding frozen", """
answer = Experiment(train=2000, cipher="shuffle+negative", method="lora", rank=8,
                    targets="proj+fc1+fc2", recipe=Recipe(epochs=3), seed=1)
"""),
        ("LoRA sits on 'q+v'", """
answer = Experiment(train=2000, cipher="shuffle+negative", rank=8, recipe=Recipe(epochs=3), seed=1)
"""),
        ("rank is 4", """
answer = Experiment(train=2000, cipher="shuffle+negative", targets="proj+fc1+fc2",
                    recipe=Recipe(epochs=3), seed=1)
"""),
        ("should be of type Experiment", """
answer = {"train": 2000, "cipher": "shuffle+negative"}
"""),
    ],
    "04.gap": [
        ("a maximum flatters", """
def gap(rows, cipher, targets, rank):
    rows = rows[(rows["dataset"] == "street") & (rows["cipher"] == cipher)]
    full = rows[rows["method"] == "full"]
    mine = rows[(rows["method"] == "lora+patch") & (rows["targets"] == targets)]
    mine = mine[mine["rank"] == rank]
    return 100 * (full["accuracy"].max() - mine["accuracy"].max())
"""),
        ("mixes ciphers", """
def gap(rows, cipher, targets, rank):
    rows = rows[rows["dataset"] == "street"]
    full = rows[rows["method"] == "full"]
    mine = rows[(rows["method"] == "lora+patch") & (rows["targets"] == targets)]
    mine = mine[mine["rank"] == rank]
    return 100 * (full["accuracy"].mean() - mine["accuracy"].mean())
"""),
        ("mixes ranks", """
def gap(rows, cipher, targets, rank):
    rows = rows[(rows["dataset"] == "street") & (rows["cipher"] == cipher)]
    full = rows[rows["method"] == "full"]
    mine = rows[(rows["method"] == "lora+patch") & (rows["targets"] == targets)]
    return 100 * (full["accuracy"].mean() - mine["accuracy"].mean())
"""),
        ("mixes data sets", """
def gap(rows, cipher, targets, rank):
    rows = rows[rows["cipher"] == cipher]
    full = rows[rows["method"] == "full"]
    mine = rows[(rows["method"] == "lora+patch") & (rows["targets"] == targets)]
    mine = mine[mine["rank"] == rank]
    return 100 * (full["accuracy"].mean() - mine["accuracy"].mean())
"""),
        ("not a number", """
def gap(rows, cipher, targets, rank):
    rows = rows[(rows["dataset"] == "street") & (rows["cipher"] == cipher)]
    rows = rows[(rows["targets"] == targets) & (rows["rank"] == rank)]
    full = rows[rows["method"] == "full"]["accuracy"].mean()
    return float(100 * (full - rows[rows["method"] == "lora+patch"]["accuracy"].mean()))
"""),
        ("the other way round", """
def gap(rows, cipher, targets, rank):
    rows = rows[(rows["dataset"] == "street") & (rows["cipher"] == cipher)]
    full = rows[rows["method"] == "full"]
    mine = rows[(rows["method"] == "lora+patch") & (rows["targets"] == targets)]
    mine = mine[mine["rank"] == rank]
    return 100 * (mine["accuracy"].mean() - full["accuracy"].mean())
"""),
    ],
}  # fmt: skip
