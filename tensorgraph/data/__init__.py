"""tensorgraph.data: data sets as arrays, and loops over them in batches.

The files of data sets are found, checked and fetched here (idx.py, pickles.py, fetch.py, sets.py, cifar.py), and cut
into batches of tensors (loader.py). Nothing here knows a layer; of the engine it uses `Tensor`, the backends and the
errors.
"""

from tensorgraph.data.cifar import cifar10
from tensorgraph.data.idx import read_idx
from tensorgraph.data.loader import ArrayDataset, DataLoader, Dataset, batches, collate
from tensorgraph.data.sets import fashion_mnist, load_digits, mnist

__all__ = [
    "ArrayDataset",
    "DataLoader",
    "Dataset",
    "batches",
    "cifar10",
    "collate",
    "fashion_mnist",
    "load_digits",
    "mnist",
    "read_idx",
]
