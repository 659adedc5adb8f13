"""tensorgraph.data: data sets as arrays, and loops over them in batches.

Published data sets are found, checked and fetched (sets.py, cifar.py, idx.py, pickles.py, fetch.py), your own are
read (dataset.py, folder.py, hdf5.py, lmdb.py), put in order (sampler.py), augmented (augment*.py, randomness.py) and
cut into batches of tensors (loader.py, assemble.py, collate.py), ahead of time where that is asked for (processes.py,
threads.py, worker.py, transport.py). Nothing here knows a layer; of the engine it uses `Tensor`, the backends, the
generators and the errors.
"""

from tensorgraph.data import augment
from tensorgraph.data.cifar import cifar10
from tensorgraph.data.collate import collate
from tensorgraph.data.dataset import ArrayDataset, ConcatDataset, Dataset, Subset, TensorDataset, random_split
from tensorgraph.data.folder import ImageFolder, read_image
from tensorgraph.data.hdf5 import HDF5Dataset
from tensorgraph.data.idx import read_idx
from tensorgraph.data.lmdb import LMDBDataset, write_lmdb
from tensorgraph.data.loader import DataLoader, batches
from tensorgraph.data.randomness import SampleRandom, sample_rng
from tensorgraph.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tensorgraph.data.sets import fashion_mnist, load_digits, mnist
from tensorgraph.data.worker import get_worker_info

__all__ = [
    "ArrayDataset",
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "HDF5Dataset",
    "ImageFolder",
    "LMDBDataset",
    "RandomSampler",
    "SampleRandom",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "batches",
    "augment",
    "cifar10",
    "collate",
    "fashion_mnist",
    "get_worker_info",
    "load_digits",
    "mnist",
    "random_split",
    "read_idx",
    "read_image",
    "sample_rng",
    "write_lmdb",
]
