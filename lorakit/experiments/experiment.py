"""One value that says everything about a run."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields

from lorakit.checks import check_choice, check_fields, check_number
from lorakit.data.load import default_sizes
from lorakit.encryption.cipher import STEPS
from lorakit.experiments.learning_rates import tuned_rates
from lorakit.experiments.public import RECIPE
from lorakit.lora.lora import TARGETS
from lorakit.lora.vit import METHODS, PARTS, check_backbone
from lorakit.privacy.accountant import Privacy
from lorakit.training.recipe import Recipe

_PRIVACY = tuple(f.name for f in fields(Privacy))
_RECIPE = tuple(f.name for f in fields(Recipe))
# floats, if some cells are empty
_WHOLE = ("rank", "public", "views", "physical_batch", "bands", "key_seed")


@dataclass(frozen=True)
class Experiment:
    """Data, cipher, backbone, method, recipe and seed of a run; equal values, equal results.

    Attributes:
        dataset: one of ``data.DATASETS``, or ``folder:NAME``, see ``data.load``.
        train, val, test: images in each split; None means the default, which a folder lacks.
        cipher: ``"none"``, or ``encryption.cipher.STEPS`` joined by ``+``; blocks are patches.
        backbone: a name for ``lora.vit.create_backbone``.
        pretrained: start from its pre-trained weights, or at random.
        method: one of ``lora.vit.METHODS``.
        rank, alpha, targets: of LoRA, ``targets`` joined by ``+``; alpha defaults to 2 x rank.
        freeze_a: True trains only B of LoRA, see ``lora.vit.apply_method``.
        public: of encrypted pictures, so many public ones to train on first, see
            ``experiments.public``; None for none.
        recipe: how it is trained. Learning rates left open are the tuned ones, delta is
            ``privacy.accountant.default_delta(train)``.
        eval_split: the split that gives the accuracy: ``test``, or ``val`` to tune.
        seed: of the start, the order of images and the (teaching) key.
        key_seed: of the key alone; None for ``seed``.
    """

    dataset: str = "fashion"
    train: int | None = None
    val: int | None = None
    test: int | None = None
    cipher: str = "none"
    backbone: str = "vit_micro"
    pretrained: bool = True
    method: str = "lora+patch"
    rank: int | None = 4
    alpha: float | None = None
    targets: str | None = "q+v"
    freeze_a: bool | None = None
    public: int | None = None
    recipe: Recipe = field(default_factory=Recipe)
    eval_split: str = "test"
    seed: int = 0
    key_seed: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("method", self.method, METHODS)
        check_choice("eval_split", self.eval_split, ("test", "val"))
        check_number("seed", self.seed, least=0, most=2**63 - 1, whole=True)
        check_number("key_seed", self.key_seed, least=0, most=2**63 - 1, whole=True, none=True)
        check_backbone("backbone", self.backbone)
        if self.cipher == "none" or self.key_seed == self.seed:
            self._set("key_seed", None)
        if self.cipher != "none":
            self._set("cipher", _joined("cipher", self.cipher, STEPS))
        for name, size in zip(("train", "val", "test"), default_sizes(self.dataset, "dataset")):
            if getattr(self, name) is None:
                if size is None:
                    raise ValueError(f"{name}=None: say how many images; a folder has no default")
                self._set(name, size)
            needed = name != "val" or self.eval_split == "val"
            check_number(name, getattr(self, name), least=int(needed), whole=True)
        if self.public is not None:
            check_number("public", self.public, least=RECIPE.batch_size, whole=True)
            if self.cipher == "none" or self.method == "probe":
                raise ValueError(
                    f"public={self.public}: allowed: None without a cipher, or where only the "
                    "head trains: there is no key to adapt to"
                )
        if self.method.startswith("lora"):
            check_number("rank", self.rank, least=1, most=100_000, whole=True)
            alpha = 2 * self.rank if self.alpha is None else self.alpha
            check_number("alpha", alpha, above=0, most=1e6)
            self._set("alpha", float(alpha))
            self._set("targets", _joined("targets", self.targets or "", TARGETS))
            self._set("freeze_a", self.freeze_a or None)
        else:  # settings that do nothing do not make two experiments differ
            for name in ("rank", "alpha", "targets", "freeze_a"):
                self._set(name, None)
        self._fill_in_the_recipe()

    def _fill_in_the_recipe(self) -> None:
        """A learning rate for each part that trains, and delta."""
        asked = self.recipe.lr
        asked = asked if isinstance(asked, dict) else dict.fromkeys(PARTS, asked)
        tuned = tuned_rates(self.settings())
        lr = {p: float(asked.get(p) or tuned[p]) for p in PARTS if p in tuned}
        self._set("recipe", self.recipe.replace(lr=lr).for_examples(self.train))

    def _set(self, name: str, value: object) -> None:
        """Put a setting into its one normal form, so that equal experiments have equal ids."""
        object.__setattr__(self, name, value)

    @property
    def private(self) -> bool:
        """Whether it trains with differential privacy."""
        return self.recipe.privacy is not None

    @property
    def id(self) -> str:
        """A hash of every setting there is: the key of the results table."""
        there = {name: value for name, value in self.settings().items() if value is not None}
        text = json.dumps(there, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def settings(self) -> dict[str, object]:
        """Every setting by its name, flat: the columns of a results table.

        >>> flat = Experiment("digits", method="probe").settings()
        >>> flat["epochs"], flat["lr_lora"], flat["epsilon"]
        (6, None, inf)
        """
        own = asdict(self)
        recipe = own.pop("recipe")
        lr, privacy, _ = (recipe.pop(name) for name in ("lr", "privacy", "physical_batch"))
        rates = {f"lr_{part}": lr.get(part) if isinstance(lr, dict) else lr for part in PARTS}
        privacy = privacy or dict.fromkeys(_PRIVACY) | {"epsilon": math.inf}
        return own | recipe | rates | privacy | {"epsilon": float(privacy["epsilon"])}

    @classmethod
    def from_settings(cls, **settings: object) -> Experiment:
        """The experiment with these flat settings, defaults for the others.

        >>> Experiment.from_settings(dataset="digits", epochs=2, lr_head=0.01).recipe.epochs
        2
        """
        settings = {n: None if v != v else v for n, v in settings.items()}  # a table's empty cells
        whole = {n for n in _WHOLE if isinstance(v := settings.get(n), float) and v.is_integer()}
        settings |= {name: int(settings[name]) for name in whole}
        lr = {p: rate for p in PARTS if (rate := settings.pop(f"lr_{p}", None)) is not None}
        privacy = {n: settings.pop(n) for n in _PRIVACY if settings.get(n) is not None}
        settings = {n: v for n, v in settings.items() if n not in _PRIVACY}
        private = privacy.get("epsilon", math.inf) != math.inf or "noise_multiplier" in privacy
        recipe = {n: settings.pop(n) for n in _RECIPE if n in settings}
        recipe = {"lr": lr or None, "privacy": Privacy(**privacy) if private else None} | recipe
        return cls(**{"recipe": Recipe(**recipe)} | settings)

    def replace(self, **changes: object) -> Experiment:
        """The same experiment with some settings changed, named as in ``settings``.

        With another method, targets, rank, backbone or privacy, learning rates and alpha are
        filled in anew.

        >>> Experiment(method="probe").replace(method="lora", rank=2, epochs=1).alpha
        4.0
        """
        fresh = {}
        if {"method", "targets", "rank", "backbone", "epsilon", "noise_multiplier"} & set(changes):
            fresh = {f"lr_{part}": None for part in PARTS} | {"alpha": None}
            if self.rank is None:
                fresh |= {"rank": 4, "targets": "q+v"}
        return self.from_settings(**self.settings() | fresh | changes)


def _joined(argument: str, text: str, allowed: tuple[str, ...]) -> str:
    """Names joined by +, each one allowed, in the order of ``allowed``."""
    names = text.split("+")
    for name in names:
        check_choice(argument, name, allowed)
    return "+".join(name for name in allowed if name in names)
