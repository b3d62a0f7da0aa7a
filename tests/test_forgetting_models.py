"""Forgetting what was learnt of a person: a crash at any instant leaves a model that knows all the rest."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.replies.understanding import Correction, ReplyInput
from flows.reply_models import FOLDER, ModelShelf, active_model
from flows.reply_state import ReplyState


def correction(name: str, text: str) -> Correction:
    moment = datetime(2026, 1, 5, tzinfo=UTC)
    return Correction(ReplyInput(name, "email", None, {}, moment, text), {"intent": "question"})


class Killed(BaseException):
    """Stands for `kill -9` before COMMIT: what was written to files stays, the transaction does not."""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[ReplyState]:
    made = ReplyState(tmp_path / FOLDER)
    yield made
    made.close()


def killed_after(state: ReplyState, do: Callable[[], None]) -> None:
    with suppress(Killed), state.transaction():
        do()
        raise Killed


def learnt(home: Path, state: ReplyState) -> ModelShelf:
    shelf = ModelShelf(home, state)
    with state.transaction():
        shelf.learn([correction("r1", "Zanzibar quartz forever")], 1)
    with state.transaction():
        shelf.learn([correction("r2", "Opals, always opals")], 2)
    return shelf


def files(home: Path) -> set[str]:
    return {path.name for path in (home / FOLDER).glob("*.npz*")}


def test_killed_before_the_commit_of_forgetting_the_model_is_what_it_was(tmp_path: Path, state: ReplyState) -> None:
    shelf = learnt(tmp_path, state)
    known, version, kept = shelf.model.dump(), shelf.version, files(tmp_path)
    killed_after(state, lambda: shelf.forget(["r1"], 3))

    again = ModelShelf(tmp_path, state)
    assert again.version == version
    assert {name for name, one in again.model.dump().items() if one.tobytes() != known[name].tobytes()} == set()
    assert files(tmp_path) > kept
    again.sweep()  # as the flow does when it starts
    assert files(tmp_path) == kept
    with state.transaction():
        again.forget(["r1"], 3)
    assert {file for _, file in state.versions()} == files(tmp_path)
    assert len(files(tmp_path)) == 1


def test_killed_before_the_commit_of_learning_no_version_that_is_named_is_gone(
    tmp_path: Path, state: ReplyState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.reply_models._KEPT", 1)
    shelf = learnt(tmp_path, state)
    version = shelf.version
    killed_after(state, lambda: shelf.learn([correction("r3", "Rubies")], 3))

    assert {file for _, file in state.versions()} <= files(tmp_path)
    assert active_model(tmp_path)[1] == version


def test_who_only_reads_never_changes_which_version_is_in_use(tmp_path: Path, state: ReplyState) -> None:
    version = learnt(tmp_path, state).version
    (path,) = [tmp_path / FOLDER / file for name, file in state.versions() if name == version]
    hidden = path.rename(path.with_suffix(".hidden"))

    assert active_model(tmp_path)[1] != version
    hidden.rename(path)
    assert active_model(tmp_path)[1] == version
