"""`outpulse backup DIR` and `restore DIR`: a copy of a home while everything runs, and a home from a copy.

What reads the log is copied before what it reads: states of flows, then the lake, then the streams, those that are made of
others first. So no copied position is ahead of the copied log, and a restored home goes on as after a crash: it lands and
decides from the log what the copied lake lacks.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from outpulse.home import Home
from schemas.events import Stream
from schemas.failures import HomeError, OutpulseError
from sinks.copying import copy_database, copy_lake, link_or_copy
from sinks.store import LAKE_FORMAT

MANIFEST: Final = "backup.json"
"""Written last: a folder without it is no whole backup."""
_STREAMS: Final = (Stream.RESULTS, Stream.DEADLETTER, Stream.CONTROL, Stream.EVENTS, Stream.REPLIES, Stream.FEEDBACK,
                   Stream.RAW)  # fmt: skip
"""What is made of others before those."""
_LEFT_OUT: Final = frozenset({"lake", "log", "recovery", "quality"})
"""`recovery` (Bytewax' own offsets) is made anew from `raw`; Data Docs by the next check."""
_NOT_COPIED: Final = (".lock", "-wal", "-shm", "-journal", ".part")
_DATA: Final = ("lake", "log")


class Copied(msgspec.Struct, frozen=True):
    """One file of a backup: its size, and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup is; `copied` has each file by its path in the backup, and is empty in backups made before it was."""

    made_at: str
    release: str
    lake_format: int
    files: int
    bytes: int
    copied: dict[str, Copied] = {}


def run_backup(home: Home, target: Path) -> int:
    """Copies a home into a folder that is new or empty.

    Raises:
        OutpulseError: the folder holds something, there is nothing to copy, or something could not be copied.
    """
    if not any((home.path / name).exists() for name in _DATA):
        raise HomeError(f"there is nothing to back up in {home.path}; choose the home with --home")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise HomeError(f"{target} holds something; valid is a folder that is new or empty")
    if home.path.resolve() in (target.resolve(), *target.resolve().parents):
        raise HomeError(f"{target} lies in the home {home.path}; choose a folder outside of it")
    began = time.monotonic()
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.chmod(0o700)  # it holds people's mail, and secrets if the settings do
    if home.config is not None:
        _copy(home.config, target / "outpulse.toml")
    for path in _states(home.path):
        place = target / path.relative_to(home.path)
        if not place.exists():
            _copy(path, place)
    copy_lake(home.path, target / "lake")
    for path in _streams(home.path / "log"):
        _copy(path, target / "log" / path.name)
    copied = {name: Copied(path.stat().st_size, _sha256(path)) for name, path in _held(target).items()}
    files, size = len(copied), sum(file.bytes for file in copied.values())
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(made_at, version("outpulse"), LAKE_FORMAT, files, size, copied)
    (target / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    seconds = time.monotonic() - began
    print(f"{files} files, {size / 2**20:,.1f} MiB in {seconds:.1f} s; copy {target} to another disk")  # noqa: T201
    return 0


def run_restore(home: Home, source: Path) -> int:
    """Makes a home of a backup; the backup stays as it is.

    Raises:
        OutpulseError: it is no whole backup, one of a newer release, or the home holds data.
    """
    manifest = _manifest(source)
    held = [name for name in _DATA if (home.path / name).exists() and any((home.path / name).iterdir())]
    if held:
        raise HomeError(
            f"{home.path} holds data ({', '.join(held)}); restore into another --home, or move it away first"
        )
    making = home.path.with_name(f".{home.path.name}.restoring-{os.getpid()}")
    try:
        for path in source.rglob("*"):
            place = making / path.relative_to(source)
            if path.is_dir():
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif path.name != MANIFEST:
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _restore_file(path, place)
        home.ensure()
        # The lake and the log last: a home without them holds nothing, and can be restored into again.
        for path in sorted(making.iterdir(), key=lambda path: (path.name in _DATA, path.name)):
            place = home.path / path.name
            if place.is_dir() and path.name in _DATA:
                place.rmdir()
            if not place.exists():
                path.rename(place)
            else:
                print(f"{place} was there already and stays as it is")  # noqa: T201 - for people
    finally:
        shutil.rmtree(making, ignore_errors=True)
    print(f"restored the backup of {manifest.made_at} into {home.path}")  # noqa: T201 - the verb's answer
    return 0


def _manifest(source: Path) -> Manifest:
    try:
        found = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        raise OutpulseError(f"{source} is no whole backup: {MANIFEST} is missing or damaged") from None
    if found.lake_format > LAKE_FORMAT:
        raise OutpulseError(
            f"{source} was made by a newer Outpulse ({found.release}, lake format {found.lake_format}, this release knows "
            f"{LAKE_FORMAT}); upgrade first"
        )
    try:
        fault = _fault(found, _held(source))
    except OSError as error:
        raise OutpulseError(f"{error.filename or source} cannot be read: {error.strerror}") from None
    if fault:
        raise OutpulseError(f"{source} is no whole backup: {fault}; copy it anew")
    return found


def _fault(manifest: Manifest, held: Mapping[str, Path]) -> str:
    """The first thing in which the files differ from what was copied, all sizes before any content; or nothing."""
    copied, sizes = manifest.copied, {name: path.stat().st_size for name, path in held.items()}
    if not copied:
        there, had = (len(held), sum(sizes.values())), (manifest.files, manifest.bytes)
        return "" if there == had else "it has {} files of {} bytes, it had {} of {}".format(*there, *had)
    for name in sorted(copied.keys() ^ held.keys()):
        return f"{name} is missing" if name in copied else f"{name} was not part of it"
    for name, file in copied.items():
        if sizes[name] != file.bytes:
            return f"{name} has {sizes[name]} bytes, it had {file.bytes}"
    return next(
        (f"{name} has other content" for name, file in copied.items() if _sha256(held[name]) != file.sha256), ""
    )


def _held(folder: Path) -> dict[str, Path]:
    """The files of a backup by their path in it, without the manifest."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    found.pop(MANIFEST, None)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _states(home: Path) -> Iterator[Path]:
    """Files of the home beside lake and log; databases first, as they name the files of models that they use."""
    for path in sorted(home.rglob("*"), key=lambda path: (path.suffix != ".sqlite", path)):
        inside = path.relative_to(home)
        if inside.parts[0] not in _LEFT_OUT and not path.name.endswith(_NOT_COPIED) and path.is_file():
            yield path


def _streams(log: Path) -> Iterator[Path]:
    """Files of the log in the order in which they are copied; unknown ones first."""
    rank = {stream.value: place for place, stream in enumerate(_STREAMS)}
    return iter(sorted(log.glob("*.sqlite"), key=lambda path: (rank.get(path.stem.rsplit("-", 1)[0], -1), path.name)))


def _copy(source: Path, target: Path) -> None:
    """Copies one file as of one instant; one that has just been removed or replaced is left to its successor."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if source.suffix == ".sqlite":
        copy_database(source, target)
        return
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        return
    target.chmod(0o600)


def _restore_file(source: Path, target: Path) -> None:
    """Parquet files never change, so a link is enough; all else is copied."""
    if source.suffix == ".parquet":
        link_or_copy(source, target)
        return
    shutil.copyfile(source, target)
    target.chmod(0o600)
