"""Train the adapter that the rank explorer shows: ``python -m lorakit.explore.example``.

It takes two minutes on one CPU core.
"""

from lorakit.experiments.experiment import Experiment
from lorakit.experiments.run import train_model
from lorakit.figures.style import CIPHER_SHOWN
from lorakit.lora.adapter_file import save_adapter
from lorakit.lora.backbones import EXAMPLE_ADAPTER
from lorakit.runtime import one_thread

EXPERIMENT = Experiment.from_settings(dataset="fashion", cipher=CIPHER_SHOWN, rank=16, epochs=5)

if __name__ == "__main__":
    with one_thread():  # as in sweep
        model, _, _ = train_model(EXPERIMENT, progress=True)
    print(save_adapter(model, EXAMPLE_ADAPTER))
