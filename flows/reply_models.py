"""The model of replies in use and its versions: files in the home, each with the place in the feedback stream it has learnt to.

A version is made by each record of the feedback stream that teaches, takes back or erases something. Its file is whole or not
there; a reader gets the same arrays, bit for bit.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np

from features.replies.understanding import Correction, ReplyInput, ReplyModel, Understood
from flows.reply_state import NAME as STATE
from flows.reply_state import ReplyState

NAME: Final = "replies"
"""The model's name in table `models`."""
FOLDER: Final = "models"
SHIPPED: Final = "shipped"
"""Stands for the weights that come with the project, whatever their version."""
_KEPT: Final = 30
"""Versions that are kept: a snapshot is a few megabytes at most."""
_LOG: Final = logging.getLogger("outpulse.flows")


class ModelShelf:
    """The model in use and the files of its versions; the model itself is made when it is first asked for."""

    def __init__(self, home: Path, state: ReplyState) -> None:
        self._folder = home / FOLDER
        self._state = state
        self._model: ReplyModel | None = None
        self._is_unread = False

    @property
    def version(self) -> str:
        """The name of the version in use."""
        named = "" if self._is_unread else self._state.get("version")
        return named or self.model.version

    @property
    def model(self) -> ReplyModel:
        """The model in use."""
        if self._model is None:
            self._model = self._loaded()
        return self._model

    def understand(self, replies: Sequence[ReplyInput]) -> list[Understood]:
        """What replies mean, by the model in use."""
        return self.model.understand(replies)

    def learn(self, corrections: Sequence[Correction], place: int) -> None:
        """Learns corrections of the feedback record at a place, and keeps the version that this makes."""
        self.model.learn(corrections)
        self._keep(place)

    def roll_back(self, version: str, place: int) -> bool:
        """Goes back to a version; False where it is not kept. The old version keeps its name."""
        files = dict(self._state.versions())
        shipped = ReplyModel.shipped()
        if version in {SHIPPED, shipped.version}:
            self._model, self._is_unread = shipped, False
            self._state.put("version", "")
        elif version in files:
            model = _read(self._folder / files[version])
            if model is None:
                return False
            self._model, self._is_unread = model, False
            self._state.put("version", version)
        else:
            return False
        self._state.put("place", str(place))
        return True

    def forget(self, ids: Sequence[str], place: int) -> None:
        """Erases replies from what the model learnt, and every older version, which holds them too."""
        old = self._state.versions()
        self.model.forget(ids)
        self._keep(place)
        self._drop([one for one in old if one[0] != self.version])

    def sweep(self) -> None:
        """Removes the files that no version names, such as a crash leaves; only the flow may, which makes them."""
        named = {file for _, file in self._state.versions()}
        for path in self._folder.glob(f"{NAME}-*.npz*"):
            if path.name not in named:
                path.unlink(missing_ok=True)

    def _keep(self, place: int) -> None:
        """Writes the model as a version of its own."""
        version = f"{self.model.version}@{place}"
        file = f"{NAME}-{re.sub(r'[^A-Za-z0-9.+-]', '-', version)}.npz"
        self._folder.mkdir(parents=True, exist_ok=True)
        _write(self._folder / file, self.model.dump())
        self._is_unread = False
        self._state.add_version(version, file, place)
        self._state.put("version", version)
        self._state.put("place", str(place))
        self._drop(self._state.versions()[:-_KEPT])

    def _drop(self, versions: Sequence[tuple[str, str]]) -> None:
        """Forgets versions; their files go when that is on disk, for a file that is named must be there."""
        if versions:
            self._state.drop_versions([version for version, _ in versions])
            self._state.after_commit(self.sweep)

    def _loaded(self) -> ReplyModel:
        """The version in use, read again where another has come in its place; else the shipped one."""
        version: str | None = None
        while version != (version := self._state.get("version")):
            file = dict(self._state.versions()).get(version)
            model = _read(self._folder / file) if file else None
            if model is not None:
                return model
        if version:
            _LOG.warning("version %s of the reply model cannot be read; the shipped one is used", version)
            self._is_unread = True
        return ReplyModel.shipped()


def _write(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Writes arrays at once whole or not at all."""
    making = path.with_name(f"{path.name}.making-{os.getpid()}")
    with making.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    making.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name is on disk before a row names it
    finally:
        os.close(folder)


def _read(path: Path) -> ReplyModel | None:
    """The model of a file, None where there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        model = ReplyModel.shipped()
        model.load(arrays)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    return model


def active_model(home: Path) -> tuple[ReplyModel, str]:
    """The model of a home and its version; the shipped one where the home has none. Changes nothing.

    For verbs that read while the flow may be running.
    """
    if not (home / FOLDER / STATE).exists():
        model = ReplyModel.shipped()
        return model, model.version
    state = ReplyState(home / FOLDER)
    try:
        shelf = ModelShelf(home, state)
        return shelf.model, shelf.version
    finally:
        state.close()
