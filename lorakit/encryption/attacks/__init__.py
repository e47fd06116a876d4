"""Attacks on the cipher: for teaching what it does not protect against.

``recover_key``     some pictures are known both plain and encrypted;
``match_columns``   a patch embedding was published;
``solve_jigsaw``    only scrambled pictures are known;
``recover_pixels``  only encrypted pictures are known, some hundreds of them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "ciphertext_only": ["places_right", "recover_pixels"],
        "embedding": ["MatchedColumns", "match_columns"],
        "jigsaw": ["neighbours_right", "solve_jigsaw"],
        "known_plaintext": ["RecoveredKey", "recover_key"],
    },
)
