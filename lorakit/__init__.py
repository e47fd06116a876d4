"""lorakit: private image classification with low-rank-adapted Vision Transformers.

    checks        of arguments: types and bounds, and errors that name them
    runtime       seed, device, precision, versions, atomic writes
    data          data sets by name: images with their labels
    lora          the LoRA layer; backbones, methods, parameter counts; adapters as files
    encryption    the cipher and its keys; the embedding that undoes it; attacks
    privacy       DP-SGD by hand; the accountant; the mathematics of an audit
    figures       tables, pictures and what they say
    training      recipe and fit: plain and private steps, checkpoints, several processes
    experiments   one run, sweeps, presets, tuning, the paper's own experiment
    explore       the widgets

Each room imports only those above it. What is used most is here, loaded when asked for:

>>> import lorakit
>>> experiment = lorakit.Experiment(dataset="digits", method="lora+patch", rank=4)
>>> experiment.alpha
8.0
"""

import lazy_loader

__version__ = "0.2.0"

_ROOMS = "checks data encryption experiments explore figures lora privacy runtime training".split()
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=_ROOMS,
    submod_attrs={
        "data": ["Dataset", "Split", "load", "normalise"],
        "encryption.cipher": ["Key", "decrypt", "encrypt", "make_key"],
        "encryption.equivariance": ["adapt_to_key"],
        "experiments.experiment": ["Experiment"],
        "experiments.presets": ["grid"],
        "experiments.run": ["run", "train_model"],
        "experiments.statement": ["privacy_statement"],
        "experiments.sweep": ["sweep"],
        "experiments.table_file": ["read_table"],
        "lora.lora": ["add_lora", "lora_layers", "merge_lora", "remove_lora", "unmerge_lora"],
        "lora.vit": ["apply_method", "count_parameters", "create_backbone"],
        "privacy.accountant": ["Privacy", "PrivacyError"],
        "training.criterion": ["DivergenceError"],
        "training.evaluate": ["evaluate"],
        "training.fit": ["fit"],
        "training.recipe": ["Recipe"],
    },
)
