"""The fitted weights that come with the project: plain arrays in `data/`, checked against the hash beside them."""

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from schemas.failures import WeightsError


def shipped_arrays(name: str) -> tuple[Mapping[str, NDArray[np.generic]], str]:
    """The arrays of `data/NAME.npz` and the first eight digits of the file's SHA-256.

    Raises:
        WeightsError: the file does not match `data/NAME.sha256`.
    """
    content = files("data").joinpath(f"{name}.npz").read_bytes()
    found = sha256(content).hexdigest()
    wanted = files("data").joinpath(f"{name}.sha256").read_text(encoding="ascii").split()[0]
    if found != wanted:
        raise WeightsError(
            f"data/{name}.npz has SHA-256 {found[:16]}…, valid is {wanted[:16]}…: install the project anew"
        )
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}, found[:8]
