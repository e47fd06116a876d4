"""The attacks: what they find is the key, and what they say of ties is true."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lorakit import data
from lorakit.data.synthetic import draw_pictures
from lorakit.encryption.attacks import (
    match_columns,
    neighbours_right,
    places_right,
    recover_key,
    recover_pixels,
    solve_jigsaw,
)
from lorakit.encryption.attacks.assembly import assemble
from lorakit.encryption.attacks.ciphertext_only import correlations, lookalikes
from lorakit.encryption.attacks.jigsaw import border_costs
from lorakit.encryption.attacks.refinement import complete, refine
from lorakit.encryption.cipher import (
    CHANNELS,
    STEPS,
    Key,
    decrypt,
    encrypt,
    from_blocks,
    make_key,
    to_blocks,
)
from lorakit.encryption.equivariance import adapt_patch_embedding

STEP_SETS = [c for r in range(4) for c in itertools.combinations(STEPS, r)]


def random_pictures(n, size, seed=0, values=256):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, values, (n, 3, size, size), generator=generator).to(torch.uint8)


def smooth_pictures(n, size, seed=0):
    """Waves that a jigsaw solver can follow, different in each picture and colour."""
    generator = torch.Generator().manual_seed(seed)
    at = torch.linspace(0, 3, size)
    a, b, c = torch.rand(3, n, 3, 1, 1, generator=generator) * 6
    waves = torch.sin(a * at[:, None] + b * at + c) + torch.cos(b * at[:, None] - c * at)
    return ((waves + 2) * 63).round().to(torch.uint8)


def same_key(a, b):
    return all(torch.equal(getattr(a, x), getattr(b, x)) for x in ("blocks", "pixels", "flips"))


# --- known plaintext


@given(
    steps=st.sampled_from(STEP_SETS),
    block=st.sampled_from([2, 3, 4]),
    blocks=st.integers(1, 4),
    values=st.sampled_from([2, 3, 8, 256]),
    pictures=st.integers(1, 4),
    seed=st.integers(0, 2**20),
)
@settings(max_examples=60, deadline=None)
def test_the_key_found_explains_the_pairs_and_is_the_key_when_determined(
    steps, block, blocks, values, pictures, seed
):
    key = make_key(block * blocks, block, steps, seed=seed)
    plain = random_pictures(pictures, block * blocks, seed, values)
    found = recover_key(plain, encrypt(plain, key), block)
    assert torch.equal(encrypt(plain, found.key), encrypt(plain, key))
    if found.determined:
        assert same_key(found.key, key)
        others = random_pictures(3, block * blocks, seed + 1)
        assert torch.equal(decrypt(encrypt(others, key), found.key), others)


def keys_that_explain(plain, encrypted):
    """How many of the 4! 3! 2³ keys for 2 x 2 pixels turn plain into encrypted: all are tried."""
    blocks, pixels = (torch.tensor([*itertools.permutations(range(n))]) for n in (4, 3))
    flips = torch.tensor([*itertools.product([False, True], repeat=3)])
    plain, encrypted = to_blocks(plain, 1), to_blocks(encrypted, 1)  # (M, 4, 3)
    moved = plain[:, blocks[:, None, :, None], pixels[None, :, None, :]]  # (M, 24, 6, 4, 3)
    tried = torch.where(flips[:, None], 255 - moved[..., None, :, :], moved[..., None, :, :])
    return (tried == encrypted[:, None, None, None]).all(-1).all(-1).all(0).sum().item()


@given(seed=st.integers(0, 10**6), pictures=st.integers(1, 2), values=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_bits_left_counts_the_keys_that_explain_the_pairs(seed, pictures, values):
    plain = random_pictures(pictures, 2, seed, values) * 51
    plain = torch.where(random_pictures(pictures, 2, seed + 1, 2) == 1, 255 - plain, plain)
    secret = encrypt(plain, make_key(2, 1, seed=seed))
    found = recover_key(plain, secret, 1)
    assert found.bits_left == pytest.approx(math.log2(keys_that_explain(plain, secret)))


def test_a_random_picture_gives_all_and_a_constant_one_nothing():
    key = make_key(32, 8, seed=1)
    plain = random_pictures(1, 32)[0]
    found = recover_key(plain, encrypt(plain, key), 8)
    assert found.determined and same_key(found.key, key)
    flat = torch.full((3, 32, 32), 9, dtype=torch.uint8)
    found = recover_key(flat, encrypt(flat, key), 8)
    assert found.bits_left == pytest.approx(
        sum(math.lgamma(n + 1) for n in (16, 192)) / math.log(2)
    )


def test_pictures_that_leave_ties_alone_decide_together():
    """One picture numbers the places by twos, the other tells even places from odd ones."""
    key, at = make_key(16, 8, seed=2), torch.arange(192)
    marks = torch.tensor([100, 101, 102])[:, None].expand(3, 192)  # tell the other blocks apart
    pictures = torch.stack([
        from_blocks(torch.cat([row[None], marks]).to(torch.uint8), 8, 16)
        for row in (at // 2, at % 2)
    ])  # fmt: skip
    secret = encrypt(pictures, key)
    alone = [recover_key(p, s, 8) for p, s in zip(pictures, secret)]
    together = recover_key(pictures, secret, 8)
    assert not any(found.determined for found in alone)
    assert together.determined and same_key(together.key, key)


def test_grey_pictures_decide_all_but_the_colours(digits):
    key = make_key(32, 8, seed=3)
    plain, others = digits.train.images[:1], digits.test.images
    found = recover_key(plain, encrypt(plain, key), 8)
    assert torch.equal(found.key.blocks, key.blocks)
    assert found.bits_left == pytest.approx(64 * math.log2(6))
    assert torch.equal(decrypt(encrypt(others, key), found.key), others)
    colour = random_pictures(2, 32)
    assert not torch.equal(decrypt(encrypt(colour, key), found.key), colour)


def ring(*lengths):
    """Rows and columns joined in rings: to refinement, rings of any length look the same."""
    ones, start = np.zeros((sum(lengths),) * 2, np.int64), 0
    for n in lengths:
        for i in range(n):
            ones[start + i, start + i] = ones[start + i, start + (i + 1) % n] = 1
        start += n
    return np.stack([ones, 3 - ones])


def test_a_guess_that_leads_nowhere_is_undone():
    def start(both):
        none = np.zeros((2, both.shape[-1]), np.int64)
        return refine(both, none, none)

    different = np.stack([ring(6), ring(3, 3)])
    assert start(different) is not None and complete(different, start(different)) is None
    rng = np.random.default_rng(0)
    for _ in range(5):
        plain, order = ring(6, 3, 3), [rng.permutation(12) for _ in range(2)]
        both = np.stack([plain, plain[:, order[0]][:, :, order[1]]])
        (rows, columns, _), bits = complete(both, start(both))
        one, two = (t[0][r.argsort()][:, c.argsort()] for t, r, c in zip(both, rows, columns))
        assert np.array_equal(one, two)
        assert bits >= math.log2(12 * 6 * 6 * 2)  # all there are: turns and mirrors, and a swap


@pytest.mark.parametrize(
    ("plain", "encrypted", "p", "error", "words"),
    [
        (torch.zeros(3, 8, 8), torch.zeros(3, 8, 8), 4, TypeError, "float32"),
        (random_pictures(1, 8), random_pictures(2, 8), 4, ValueError, "(2, 3, 8, 8)"),
        (random_pictures(1, 8), random_pictures(1, 8), 3, ValueError, "block_size=3"),
        (random_pictures(1, 8), random_pictures(1, 8, seed=1), 4, ValueError, "no key"),
    ],
)
def test_pairs_that_can_not_be_are_refused(plain, encrypted, p, error, words):
    with pytest.raises(error) as caught:
        recover_key(plain, encrypted, p)
    assert words in str(caught.value)


# --- patch embeddings


@given(p=st.sampled_from([2, 4, 8]), dim=st.integers(8, 40), seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_an_adapted_patch_embedding_gives_the_pixel_key(p, dim, seed):
    weight = torch.randn(dim, 3, p, p, generator=torch.Generator().manual_seed(seed))
    key = make_key(4 * p, p, seed=seed)
    found = match_columns(weight, adapt_patch_embedding(weight, key))
    assert torch.equal(found.pixels, key.pixels) and torch.equal(found.flips, key.flips)


def test_columns_of_another_embedding_are_each_matched_once_and_shapes_are_checked():
    public, other = torch.randn(2, 64, 3, 4, 4)
    found = match_columns(public, other)
    assert sorted(found.pixels.tolist()) == list(range(48))
    with pytest.raises(ValueError, match=r"\(64, 3, 2, 4\)"):
        match_columns(public, public[:, :, :2])


# --- jigsaw


def total_cost(place, costs):
    """Summed cost of all neighbours when place i shows block ``place[i]``."""
    grid = place.view(math.isqrt(len(place)), -1)
    right, below = costs
    return (right[grid[:, :-1], grid[:, 1:]].sum() + below[grid[:-1], grid[1:]].sum()).item()


@given(seed=st.integers(0, 10**6), n=st.sampled_from([2, 3]))
@settings(max_examples=20, deadline=None)
def test_an_assembly_has_every_block_once_and_no_swap_makes_it_cheaper(seed, n):
    costs = torch.rand(2, n * n, n * n, generator=torch.Generator().manual_seed(seed)).double()
    place = assemble(costs)
    assert sorted(place.tolist()) == list(range(n * n))
    for a, b in itertools.combinations(range(n * n), 2):
        other = place.clone()
        other[[a, b]] = place[[b, a]]
        assert total_cost(other, costs) >= total_cost(place, costs) - 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_on_four_blocks_of_a_picture_the_assembly_is_the_cheapest_of_all(seed):
    costs = border_costs(smooth_pictures(1, 16, seed), 8)
    every = [torch.tensor(p) for p in itertools.permutations(range(4))]
    best = min(total_cost(place, costs) for place in every)
    assert total_cost(assemble(costs), costs) == pytest.approx(best)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_a_key_only_puts_the_border_costs_in_another_order(seed):
    """So that the explorer works them out once, of the plain pictures."""
    plain, key = smooth_pictures(2, 32, seed), make_key(32, 8, ["scramble"], seed=seed)
    costs = border_costs(plain, 8)[:, key.blocks][:, :, key.blocks]
    assert torch.equal(costs, border_costs(encrypt(plain, key), 8))


def test_true_neighbours_fit_best_in_both_directions():
    costs = border_costs(smooth_pictures(5, 32), 8)
    right = [(i, i + 1) for i in range(16) if i % 4 < 3]
    below = [(i, i + 4) for i in range(12)]
    for table, pairs in zip(costs, (right, below)):
        table = table + torch.eye(16) * 1e9
        assert all(table[a].argmin() == b and table[:, b].argmin() == a for a, b in pairs)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_a_jigsaw_of_several_pictures_is_solved_whatever_the_key(seed):
    pictures, key = smooth_pictures(6, 32, seed), make_key(32, 8, "scramble", seed=seed)
    found = solve_jigsaw(encrypt(pictures, key), 8)
    assert torch.equal(found.blocks, key.blocks) and neighbours_right(found, key) == 1
    assert torch.equal(decrypt(encrypt(pictures, key), found), pictures)


def test_many_street_pictures_are_solved_though_one_is_not():
    pictures = data.load("street", train=32, val=1, test=1).train.images
    keys = [make_key(32, 8, "scramble", seed=i) for i in range(8)]
    alone = [solve_jigsaw(encrypt(pictures[i : i + 1], key), 8) for i, key in enumerate(keys)]
    assert sum(neighbours_right(*pair) == 1 for pair in zip(alone, keys)) < 8
    assert all(
        neighbours_right(solve_jigsaw(encrypt(pictures, key), 8), key) == 1 for key in keys[:3]
    )


def test_neighbours_right_counts_true_neighbours_and_not_the_ends_of_rows():
    key = make_key(24, 8, "scramble", seed=1)
    assert neighbours_right(key, key) == 1
    one_on = Key(24, 8, (key.blocks - 1) % 9, key.pixels, key.flips)  # every block one place on
    # 3 of 6 pairs across stay, and 5 of 6 pairs down
    assert neighbours_right(one_on, key) == pytest.approx(8 / 12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: border_costs(random_pictures(1, 8), 1), "block_size=1"),
        (lambda: border_costs(random_pictures(1, 8), 3), "block_size=3"),
        (lambda: border_costs(torch.zeros(8, 8), 4), "(8, 8)"),
        (lambda: correlations(random_pictures(1, 8), 3), "block_size=3"),
        (lambda: assemble(torch.zeros(2, 5, 5)), "(2, 5, 5)"),
        (lambda: assemble(torch.zeros(1, 4, 4)), "(1, 4, 4)"),
    ],
)
def test_shapes_that_do_not_fit_a_jigsaw_are_named(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in str(caught.value)


# --- encrypted pictures alone


def test_encryption_permutes_correlations_and_turns_their_signs():
    pictures, key = smooth_pictures(20, 16), make_key(16, 4, seed=0)
    plain, secret = correlations(pictures, 4), correlations(encrypt(pictures, key), 4)
    sign = 1 - 2 * key.flips.double().numpy()
    wanted = plain[key.pixels][:, key.pixels] * sign * sign[:, None]
    assert abs(secret - wanted).max() < 1e-9
    flat = correlations(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), 4)
    assert (flat == 0).all()


def test_pixel_places_are_found_from_encrypted_pictures_alone():
    """Four by four places, and a public set that shares no picture with the secret one."""
    street = data.load("street", train=1000, val=1, test=1).train.images
    letters = draw_pictures("letters", 1000, torch.Generator().manual_seed(0))
    key = make_key(32, 4, seed=5)
    secret = encrypt(street, key)
    found = recover_pixels(secret, letters, 4)
    assert places_right(found, key) == 1
    assert torch.equal(found.flips, key.flips) or torch.equal(found.flips, ~key.flips)
    assert torch.equal(found.blocks, torch.arange(64))


def test_there_are_48_lookalikes_and_they_count_as_found():
    alike = lookalikes(4)
    assert len({tuple(x.tolist()) for x in alike}) == 48
    key = make_key(8, 4, seed=0)
    for way in alike:
        other = Key(8, 4, key.blocks, way[key.pixels], key.flips)
        assert places_right(other, key) == 1
    assert places_right(make_key(8, 4, seed=1), key) < 0.3


def test_neighbouring_places_stay_neighbours_in_a_lookalike():
    at = torch.arange(CHANNELS * 16)
    beside = {(int(a), int(b)) for a in at for b in at if abs(a - b) == 1 and a // 4 == b // 4}
    below = {(int(a), int(b)) for a in at for b in at if abs(a - b) == 4 and a // 16 == b // 16}
    for way in lookalikes(4):
        moved = {(int(way[a]), int(way[b])) for a, b in beside | below}
        assert moved == beside | below
