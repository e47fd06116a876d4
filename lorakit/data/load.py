"""Every data set by its name: those that need no download, and public ones."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from lorakit.checks import check_number, checked
from lorakit.data import embedded, public
from lorakit.data.dataset import Dataset, Sizes, generator_for
from lorakit.data.fashion import fashion, paint

DATASETS: dict[str, Sizes] = {
    "fashion": (10_000, 2000, 5000),
    "painted": (10_000, 2000, 5000),
    "street": (4000, 1000, 3000),
    "digits": (1097, 200, 500),
    "cifar10": (45_000, 5000, 10_000),
    "cifar100": (45_000, 5000, 10_000),
    "imagenette": (8469, 1000, 3925),
}
_CLOTHES = ("fashion", "painted")
EMBEDDED = {"street": embedded.street, "digits": embedded.digits}


@checked
def load(
    name: str,
    *,
    train: int | None = None,
    val: int | None = None,
    test: int | None = None,
    seed: int = 0,
    image_size: int = 32,
    root: str | Path | None = None,
    download: bool = True,
    classes: Iterable[str] | None = None,
) -> Dataset:
    """Load a data set by name.

    Args:
        name: one of ``DATASETS``, or ``folder:NAME`` for pictures of your own, see
            ``data.public.folder``.
        train, val, test: number of images in each split; None means those in ``DATASETS``, or of a
            folder 80, 10 and 10 % of what it holds; with test pictures apart, all of those, and 90
            and 10 % of the others. With ``val=0``, ``Dataset.val`` is None.
        seed: which images are drawn, or how real images are split. The official test images are
            never in ``train`` or ``val``.
        image_size: height and width in pixels. CIFAR and clothes stay 32 x 32, and are
            enlarged batch by batch.
        root: folder for public data sets; None means ``$LORAKIT_DATA``, or ``~/.cache/lorakit``.
        download: fetch a public data set that is not in ``root`` yet.
        classes: of a folder, those to use; None means all.

    If a public data set is not to be had, or damaged, a RuntimeError says what to do.
    """
    sizes, defaults = (train, val, test), default_sizes(name)
    for argument, n in zip(("train", "val", "test"), sizes):
        if n is not None:
            check_number(argument, n, least=int(argument != "val"), most=10_000_000, whole=True)
    check_number("seed", seed, least=0, whole=True)
    check_number("image_size", image_size, least=8, most=1024, whole=True)
    where = public.data_root(root)
    if name.startswith("folder:"):
        chosen = None if classes is None else tuple(classes)
        return public.folder(name, sizes, seed, image_size, where, chosen)
    sizes = tuple(default if n is None else n for n, default in zip(sizes, defaults))
    if classes is not None:
        raise ValueError(f"classes={classes!r}: allowed for 'folder:NAME' only, not for {name!r}")
    if name in EMBEDDED:
        return EMBEDDED[name](name, sizes, seed, image_size)
    if name in _CLOTHES:
        clothes = fashion(sizes, seed, where, download)
        return clothes if name == "fashion" else _painted(clothes, seed)
    if name == "imagenette":
        return public.imagenette(sizes, seed, image_size, where, download)
    return public.cifar(name, sizes, seed, where, download)


def _painted(clothes: Dataset, seed: int) -> Dataset:
    splits = {}
    for number, name in enumerate(("train", "val", "test")):
        if split := getattr(clothes, name):
            splits[name] = paint(split, generator_for("painted", seed, number))
    return replace(clothes, name="painted", **splits)


@checked
def default_sizes(name: str, argument: str = "name") -> tuple[int | None, int | None, int | None]:
    """Images in the splits of a data set, where it has a size of its own; checks the name.

    >>> default_sizes("digits")
    (1097, 200, 500)
    """
    if name.startswith("folder:") and name != "folder:":
        return (None, None, None)
    if name not in DATASETS:
        allowed = f"{sorted(DATASETS)} or 'folder:NAME'"
        raise ValueError(f"{argument}={name!r}: unknown data set; allowed: {allowed}")
    return DATASETS[name]
