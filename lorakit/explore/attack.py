"""The cipher broken: from known pictures, or as a jigsaw; more effort, a clearer picture."""

from functools import lru_cache

import torch
from torch import Tensor

from lorakit import data
from lorakit.checks import check_number
from lorakit.encryption.attacks import neighbours_right, recover_key
from lorakit.encryption.attacks.jigsaw import border_costs, solve_costs
from lorakit.encryption.cipher import decrypt, encrypt, make_key
from lorakit.explore.explorer import Controls, Explorer, dropdown, hide, number
from lorakit.explore.view import View, show_pictures
from lorakit.figures.style import DATASET_NAMES

_ATTACKS = {"known pictures": "known", "jigsaw, no picture known": "jigsaw"}
_MOST_KNOWN, _MOST_PICTURES, _MOST_STARTS = 8, 40, 8
_INVITE = "Lower “different values” until one known picture is not enough; then know a second."
_LEVELS = (2, 3, 4, 6, 8, 16, 64, 256)


def known_view(
    *,
    dataset: str = "fashion",
    block_size: int = 8,
    known: int = 1,
    levels: int = 256,
    seed: int = 1,
) -> View:
    """A secret picture opened with the key that known pairs give away.

    Args:
        dataset: ``fashion`` or ``street``.
        block_size: p in pixels, a divisor of 32.
        known: pairs of a plain and an encrypted picture, 1 to 8.
        levels: of brightness in the known pictures, 2 to 256; few leave places that look alike.
        seed: number of the teaching key.
    """
    check_number("known", known, least=1, most=_MOST_KNOWN, whole=True)
    check_number("levels", levels, least=2, most=256, whole=True)
    images = _images(dataset)
    key = make_key(images.shape[-1], block_size, seed=seed)
    plain = (images[:known].long() * levels // 256 * 255 // (levels - 1)).to(torch.uint8)
    found = recover_key(plain, encrypt(plain, key), block_size)
    secret = encrypt(images[-1], key)
    opened = decrypt(secret, found.key)
    right = (opened == images[-1]).float().mean().item()
    finding = (
        f"{known} known picture{'s' * (known > 1)}, and {right:.0%} of the values of a secret one "
        "are read"
    )
    pictures = {
        "one that the attacker knows": plain[0],
        "a secret one, encrypted": secret,
        "opened by the attacker": opened,
        "the truth": images[-1],
    }
    left = f"About {found.bits_left:,.0f} bits of the key are left open"
    notes = [
        f"{left}." if found.bits_left else "Nothing of the key is left open.",
        "A grey picture repeats each value in three channels. Which of them went where stays "
        "open, and no grey picture shows it.",
        "A known picture with few different values leaves places that cannot be told apart.",
        "A new key for each picture stops this attack; but then our ViT hardly learns (lesson 05).",
    ]
    return show_pictures(pictures, finding, notes)


def jigsaw_view(
    *,
    dataset: str = "fashion",
    block_size: int = 8,
    pictures: int = 3,
    starts: int = 4,
    seed: int = 1,
) -> View:
    """Scrambled blocks put together again from encrypted pictures alone.

    Args:
        dataset, block_size, seed: as in ``known_view``; only blocks are scrambled here.
        pictures: that share the key, 1 to 40.
        starts: how many blocks to grow the picture from, 1 to 8.
    """
    check_number("pictures", pictures, least=1, most=_MOST_PICTURES, whole=True)
    check_number("starts", starts, least=1, most=_MOST_STARTS, whole=True)
    images = _images(dataset)
    key = make_key(images.shape[-1], block_size, ["scramble"], seed=seed)
    secret = encrypt(images[[0, -1]], key)
    costs = _misfits(dataset, block_size)[pictures - 1]  # a key only puts blocks in another order
    costs = costs[:, key.blocks][:, :, key.blocks]
    found = solve_costs(costs, key.image_size, block_size, starts=starts)
    finding = (
        f"{pictures} encrypted picture{'s' * (pictures > 1)}, none known: "
        f"{neighbours_right(found, key):.0%} of neighbouring blocks are put together right"
    )
    shown = {
        "encrypted": secret[0],
        "put together": decrypt(secret[0], found),
        "the truth": images[0],
        "another, in the same order": decrypt(secret[-1], found),
    }
    notes = [
        "Blocks that belong together continue each other. A coincidence in one picture is none in "
        "ten that share a key.",
        f"{(key.image_size // block_size) ** 2} blocks of {block_size} × {block_size} pixels; "
        "smaller blocks are more and say less about their neighbours.",
        "Pixel shuffling hides the borders; then the attack needs other statistics (lesson 05).",
    ]
    return show_pictures(shown, finding, notes)


@lru_cache(maxsize=2)
def _images(dataset: str) -> Tensor:
    """Pictures, uint8 (40, 3, 32, 32); the last one is the secret."""
    return data.load(dataset, train=_MOST_PICTURES, val=1, test=1).train.images


@lru_cache(maxsize=6)
def _misfits(dataset: str, block_size: int) -> Tensor:
    """Border costs of all pairs of blocks, summed over the first 1 ... M pictures, (M, 2, N, N)."""
    return torch.stack([border_costs(p, block_size) for p in _images(dataset)[:, None]]).cumsum(0)


def attack_explorer() -> Explorer:
    """Explore how much an attacker needs."""
    levels = "Levels of brightness in the known pictures"
    datasets = [(DATASET_NAMES[name], name) for name in ("fashion", "street")]
    controls = {
        "attack": dropdown("attack", _ATTACKS.items(), hint="What the attacker has"),
        "dataset": dropdown("pictures", datasets, hint="Which pictures"),
        "block_size": dropdown("block size", (4, 8, 16), 8, hint="Side of a block, pixels"),
        "known": number("known pictures", 1, _MOST_KNOWN, 1, hint="Pairs, plain and encrypted"),
        "levels": dropdown("different values", _LEVELS, 256, hint=levels),
        "pictures": number("encrypted pictures", 1, _MOST_PICTURES, 3, hint="That share one key"),
        "starts": number("effort: starts", 1, _MOST_STARTS, 4, hint="Of the jigsaw solver"),
        "seed": number("key number", 0, 99, 1, hint="A teaching key, drawn from this number"),
    }
    return Explorer(_view, controls, rules=_rules, invite=_INVITE)


def _view(attack: str, known: int, levels: int, pictures: int, starts: int, **shared) -> View:
    if attack == "known":
        return known_view(known=known, levels=levels, **shared)
    return jigsaw_view(pictures=pictures, starts=starts, **shared)


def _rules(controls: Controls) -> None:
    known = controls["attack"].value == "known"
    hide(controls, *(("pictures", "starts") if known else ("known", "levels")))
