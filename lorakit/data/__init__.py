"""Images with their labels, by name.

``dataset``   Split and Dataset, and how images become numbers;
``load``      every data set by its name;
``fashion``   photographs of clothes, the default, and the same ones ``painted``;
``embedded``  those that need no download, ``street`` draws the synthetic ones;
``synthetic`` pictures without classes, to pre-train on;
``public``    CIFAR, Imagenette and folders of pictures, ``decode`` reads them once.
"""

from lorakit.data.dataset import MEAN, STD, Dataset, Split, normalise
from lorakit.data.load import DATASETS, default_sizes, load

__all__ = ["DATASETS", "MEAN", "STD", "Dataset", "Split", "default_sizes", "load", "normalise"]
