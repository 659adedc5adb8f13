"""What every test can ask for: a device that is no NumPy, and a clean state around it."""

from __future__ import annotations

import numpy as np
import pytest

from tests import fence as fences


@pytest.fixture
def fence():
    """The fence backend, known to the engine for the length of one test."""
    with fences.installed() as backend:
        yield backend


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same ones in every run."""
    return np.random.default_rng(0)
