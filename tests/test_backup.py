"""A backup of a running home, restored elsewhere, goes on to the tables of an undisturbed run."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.bulk import write_ndjson
from outpulse.backing_up import run_backup, run_restore
from outpulse.home import open_home
from schemas.failures import OutpulseError
from sinks.attach import connect
from sinks.lake import Lake
from sinks.store import LAKE_FORMAT
from tests.lakes import differences, rows, tables
from tests.processes import answers, copy_of_log, free_port, kill, run, start, wait_until
from tests.signing import sendgrid_keypair
from tests.test_crash import SMALL_CHUNKS, Load, landed


def small_home(home: Path) -> Path:
    """A home with an event, a pause, and settings with a secret."""
    home.mkdir(parents=True)
    (home / "outpulse.toml").write_text('[gateway]\ntoken = "very secret"\n')
    event = {"event_id": "e1", "kind": "sent", "occurred_at": "2026-01-05T10:00:00Z", "campaign_id": "autumn"}
    (home.parent / "e.ndjson").write_text(json.dumps(event) + "\n")
    assert run("replay", str(home.parent / "e.ndjson"), "--home", str(home)).returncode == 0
    assert run("pause", "campaign:autumn", "--why", "a test", "--home", str(home)).returncode == 0
    return home


@pytest.fixture(scope="module")
def small_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a small home, not to be changed."""
    folder = tmp_path_factory.mktemp("small")
    assert run_backup(open_home(str(small_home(folder / "home"))), folder / "copy") == 0
    return folder / "copy"


@pytest.mark.crash
def test_a_backup_under_load_restored_elsewhere_goes_on_as_if_undisturbed(tmp_path: Path) -> None:
    key, public = sendgrid_keypair()
    port, home, copy = free_port(), tmp_path / "home", tmp_path / "copy"
    other, clean, file = tmp_path / "other", tmp_path / "clean", tmp_path / "events.ndjson"
    write_ndjson(file, 40_000, 7, duplicate_share=0.05)
    env = {
        **SMALL_CHUNKS,
        "OUTPULSE_GATEWAY__PORT": str(port),
        "OUTPULSE_GATEWAY__TOKEN": "test-token",
        "OUTPULSE_PROVIDERS__SENDGRID__PUBLIC_KEYS": json.dumps([public]),
    }
    place = ("--home", str(home))
    started = [start("gateway", *place, env=env), start("flows", "normalize", "guard", "delivery", *place, env=env)]
    wait_until(lambda: answers(port), what="the gateway's start")
    load = Load(port, "test-token", key)
    load.start()
    replay = start("replay", str(file), *place, env=env)
    wait_until(lambda: landed(home) > 5_000, 90, "landing")

    done = run("backup", str(copy), *place)
    assert done.returncode == 0, done.stderr
    was_replaying = replay.poll() is None
    load.ending.set()
    load.join()
    for process in (*started, replay):
        kill(process)
        process.wait()

    assert run("restore", str(copy), "--home", str(other)).returncode == 0
    assert landed(other) > 5_000
    assert was_replaying
    copy_of_log(other, clean)
    for one in (other, clean):
        assert run("flows", "normalize", "guard", "delivery", "--drain", "--home", str(one)).returncode == 0
        assert run("replay", str(file), "--home", str(one), env=SMALL_CHUNKS).returncode == 0
    assert landed(other) > 38_000
    assert differences(tables(clean), tables(other)) == []


def test_a_backup_holds_everything_for_its_owner_alone_and_tells_no_secret(tmp_path: Path) -> None:
    home, copy, other = small_home(tmp_path / "home"), tmp_path / "copy", tmp_path / "other"

    done = run("backup", str(copy), "--home", str(home))
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stdout + done.stderr
    assert copy.stat().st_mode & 0o777 == 0o700
    assert (copy / "outpulse.toml").stat().st_mode & 0o777 == 0o600
    assert not (copy / "recovery").exists()

    assert run("restore", str(copy), "--home", str(other)).returncode == 0
    assert (other / "outpulse.toml").read_text() == (home / "outpulse.toml").read_text()
    assert differences(tables(home), tables(other)) == []
    assert json.loads(run("pauses", "--json", "--home", str(other)).stdout)[0]["scope"] == "campaign:autumn"
    assert run("resume", "campaign:autumn", "--why", "restored", "--home", str(other)).returncode == 0
    assert run("maintain", "--home", str(other)).returncode == 0
    assert run("pauses", "--json", "--home", str(home)).stdout != run("pauses", "--json", "--home", str(other)).stdout
    assert differences(tables(home), tables(other)) == []


def test_a_restore_refuses_a_home_with_data_and_a_backup_that_is_not_whole(tmp_path: Path) -> None:
    home, copy = small_home(tmp_path / "home"), tmp_path / "copy"
    assert run("backup", str(copy), "--home", str(home)).returncode == 0

    held = run("restore", str(copy), "--home", str(home))
    assert held.returncode == 1
    assert "holds data (lake, log)" in held.stderr

    again = run("backup", str(copy), "--home", str(home))
    assert again.returncode == 1
    assert "holds something" in again.stderr

    inside = run("backup", str(home / "copy"), "--home", str(home))
    assert inside.returncode == 1
    assert "lies in the home" in inside.stderr

    manifest = json.loads((copy / "backup.json").read_text())
    (copy / "backup.json").write_text(json.dumps(manifest | {"lake_format": LAKE_FORMAT + 1}))
    assert "newer Outpulse" in run("restore", str(copy), "--home", str(tmp_path / "other")).stderr
    (copy / "backup.json").write_text(json.dumps(manifest))
    next((copy / "lake" / "data").rglob("*.parquet")).unlink()
    assert "copy it anew" in run("restore", str(copy), "--home", str(tmp_path / "other")).stderr
    (copy / "backup.json").unlink()
    assert "is no whole backup" in run("restore", str(copy), "--home", str(tmp_path / "other")).stderr
    assert not (tmp_path / "other").exists()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short, as by a full disk": (lambda path: os.truncate(path, path.stat().st_size // 2), "bytes, it had"),
    "one bit of another": (
        lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
        "has other content",
    ),
    "missing, another in its place": (lambda path: path.rename(path.with_name("x")), "is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("pattern", ["lake/data/**/*.parquet", "lake/catalog.sqlite", "log/*.sqlite"])
def test_a_damaged_backup_is_refused_by_the_name_of_the_file_before_anything_is_touched(
    small_copy: Path, tmp_path: Path, pattern: str, damage: str
) -> None:
    copy, other = tmp_path / "copy", tmp_path / "other"
    shutil.copytree(small_copy, copy)
    harmed = min(copy.glob(pattern))
    spoil, said = DAMAGES[damage]
    spoil(harmed)

    with pytest.raises(OutpulseError, match=rf"{re.escape(harmed.relative_to(copy).as_posix())} .*{said}"):
        run_restore(open_home(str(other)), copy)
    assert not other.exists()


def test_a_manifest_has_the_size_and_sha_256_of_every_file(small_copy: Path) -> None:
    files = [path for path in small_copy.rglob("*") if path.is_file() and path.name != "backup.json"]
    wanted = {
        path.relative_to(small_copy).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in files
    }

    assert json.loads((small_copy / "backup.json").read_bytes())["copied"] == wanted
    assert len(wanted) > 5


def test_a_file_that_was_not_part_of_the_backup_is_not_restored(small_copy: Path, tmp_path: Path) -> None:
    copy, other = tmp_path / "copy", tmp_path / "other"
    shutil.copytree(small_copy, copy)
    (copy / "lake" / "stray").write_bytes(b"")

    with pytest.raises(OutpulseError, match=r"lake/stray was not part of it"):
        run_restore(open_home(str(other)), copy)
    assert not other.exists()


def test_a_backup_of_before_there_were_hashes_is_restored_by_count_and_bytes(small_copy: Path, tmp_path: Path) -> None:
    copy, other = tmp_path / "copy", tmp_path / "other"
    shutil.copytree(small_copy, copy)
    manifest = json.loads((copy / "backup.json").read_bytes())
    del manifest["copied"]
    (copy / "backup.json").write_text(json.dumps(manifest))
    log = min((copy / "log").glob("*.sqlite"))
    whole = log.read_bytes()
    log.write_bytes(whole[:-1])

    with pytest.raises(
        OutpulseError, match=rf"of {manifest['bytes'] - 1} bytes, it had .* of {manifest['bytes']}; copy"
    ):
        run_restore(open_home(str(other)), copy)
    assert not other.exists()
    log.write_bytes(whole)
    assert run_restore(open_home(str(other)), copy) == 0
    assert landed(other) == 1


def test_settings_that_are_there_already_stay(tmp_path: Path) -> None:
    home, copy, other = small_home(tmp_path / "home"), tmp_path / "copy", tmp_path / "other"
    assert run("backup", str(copy), "--home", str(home)).returncode == 0
    other.mkdir()
    (other / "outpulse.toml").write_text("[gateway]\nport = 9999\n")

    done = run("restore", str(copy), "--home", str(other))
    assert done.returncode == 0, done.stderr
    assert "was there already and stays as it is" in done.stdout
    assert "9999" in (other / "outpulse.toml").read_text()
    assert landed(other) == 1


def test_a_lake_of_an_older_release_is_copied_before_its_upgrade(tmp_path: Path) -> None:
    home = small_home(tmp_path / "home")
    before = tables(home)
    connection = connect(home, read_only=False)
    connection.execute("ALTER TABLE store.cohorts DROP COLUMN opportunities")
    connection.execute("UPDATE store.meta SET value = '5' WHERE name = 'format'")
    connection.execute("UPDATE store.meta SET value = 'of an older release' WHERE name = 'views'")
    connection.close()

    Lake(home).close()
    assert differences(before, tables(home)) == []

    old = tmp_path / "old"
    shutil.copytree(home / "lake" / "of-format-5", old / "lake")
    assert rows(old, "SELECT value FROM store.meta WHERE name = 'format'") == [("5",)]
    assert rows(old, "SELECT count(*) FROM store.facts") == [(1,)]
