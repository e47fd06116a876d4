"""Which rows and columns of one table are which of another, when both were permuted.

Rows with other values are told apart; that tells columns apart, which tells more rows apart, until
nothing changes: colour refinement (Weisfeiler and Leman 1968). What is still tied is guessed.
"""

import math

import numpy as np

State = tuple[np.ndarray, np.ndarray, np.ndarray]  # of rows, columns, signs: see ``refine``


def refine(tables: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> State | None:
    """Split classes of rows and columns until nothing changes; None if the sides disagree.

    Args:
        tables: the values numbered from 0, int64 (2, 2, N, V). First axis: the table, the permuted
            table; second: as they are, all negative.
        rows, columns: classes so far, int64 (2, N) and (2, V): both tables share them.

    Returns:
        rows, columns, and for every column which of its two signs is the standard one: 0 as it
        is, 1 negative, -1 not decided; int (2, V).
    """
    plus, minus = tables[:, 0], tables[:, 1]  # (2, N, V)
    folded, many = np.minimum(plus, minus), tables.max() + 1
    while True:
        before = rows.max() + columns.max()
        two = [np.sort(rows[:, :, None] * many + x, axis=1) for x in (plus, minus)]
        two = [x.swapaxes(1, 2) for x in two]  # (2, V, N)
        turned = _later(*two)
        standard = np.where((turned == 1)[..., None], two[1], two[0])
        columns = _classes(np.concatenate([columns[..., None], standard], axis=-1))
        side = turned[:, None, :]
        value = np.where(side < 0, folded, np.where(side == 1, minus, plus))
        values = np.sort(columns[:, None, :] * many + value, axis=2)  # (2, N, V)
        rows = _classes(np.concatenate([rows[..., None], values], axis=-1))
        if any((np.sort(x[0]) != np.sort(x[1])).any() for x in (rows, columns)):
            return None
        if rows.max() + columns.max() == before:
            return rows, columns, turned


def complete(tables: np.ndarray, state: State) -> tuple[State, float] | None:
    """Guess tied rows one by one until all differ, starting from what ``refine`` gave; or None.

    Returns that state, in which columns still tied are equal everywhere, and log2 of the number of
    ways to get there.
    """
    rows, columns, _ = state
    sizes = np.bincount(rows[0])
    if (sizes == 1).all():  # columns still tied are then equal in every row: any order will do
        return state, sum(math.lgamma(g + 1) for g in np.bincount(columns[0])) / math.log(2)
    tied = np.flatnonzero(rows[0] == np.argmax(sizes > 1))
    for candidate in np.flatnonzero(rows[1] == rows[0, tied[0]]):
        marked = rows.copy()
        marked[0, tied[0]] = marked[1, candidate] = len(sizes)
        refined = refine(tables, marked, columns)
        if refined and (found := complete(tables, refined)):
            return found[0], found[1] + math.log2(len(tied))
    return None


def _classes(signatures: np.ndarray) -> np.ndarray:
    """Number equal signatures, over both sides: (2, n, k) to (2, n)."""
    return numbered(signatures.reshape(-1, signatures.shape[-1])).reshape(signatures.shape[:2])


def numbered(rows: np.ndarray) -> np.ndarray:
    """The number of each row (n, k) among the distinct rows in order: int64 (n,)."""
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _later(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Along the last axis: 1 where ``a`` comes after ``b`` as words do, 0 before, -1 equal."""
    where = (a != b).argmax(axis=-1)[..., None]
    first, second = (np.take_along_axis(x, where, -1)[..., 0] for x in (a, b))
    return np.where(first == second, -1, (first > second).astype(int))
