"""Attacks on the cipher: for teaching what it does not protect against.

``recover_key``     some pictures are known both plain and encrypted;
``match_columns``   a patch embedding was published;
``solve_jigsaw``    only scrambled pictures are known;
``recover_pixels``  only encrypted pictures are known, some hundreds of them.
"""

from lorakit.encryption.attacks.ciphertext_only import places_right, recover_pixels
from lorakit.encryption.attacks.embedding import MatchedColumns, match_columns
from lorakit.encryption.attacks.jigsaw import neighbours_right, solve_jigsaw
from lorakit.encryption.attacks.known_plaintext import RecoveredKey, recover_key

__all__ = [
    "MatchedColumns",
    "RecoveredKey",
    "match_columns",
    "neighbours_right",
    "places_right",
    "recover_key",
    "recover_pixels",
    "solve_jigsaw",
]
