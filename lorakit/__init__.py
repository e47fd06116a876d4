"""lorakit: private image classification with low-rank-adapted Vision Transformers.

>>> import lorakit
>>> experiment = lorakit.Experiment(dataset="digits", method="lora+patch", rank=4)
>>> experiment.alpha
8.0
"""

from lorakit.adapted import adapt_to_key
from lorakit.cipher import Key, decrypt, encrypt, make_key
from lorakit.data import Dataset, Split, load, normalise
from lorakit.experiment import Experiment
from lorakit.lora import add_lora, lora_layers, merge_lora, remove_lora, unmerge_lora
from lorakit.presets import grid
from lorakit.privacy import Privacy, PrivacyError
from lorakit.runner import run, train_model
from lorakit.sweep import read_table, sweep
from lorakit.train import DivergenceError, evaluate, fit
from lorakit.vit import apply_method, count_parameters, create_backbone

__version__ = "0.1.0"
__all__ = [
    "Dataset", "DivergenceError", "Experiment", "Key", "Privacy", "PrivacyError", "Split",
    "adapt_to_key", "add_lora", "apply_method", "count_parameters", "create_backbone", "decrypt",
    "encrypt", "evaluate", "fit", "grid", "load", "lora_layers", "make_key", "merge_lora",
    "normalise", "read_table", "remove_lora", "run", "sweep", "train_model", "unmerge_lora",
]  # fmt: skip
