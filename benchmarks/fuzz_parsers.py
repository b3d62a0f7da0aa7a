"""A coverage-guided fuzzer of everything that reads what strangers send: the adapters, mail, mapping files.

    pip install -e ".[fuzz]"
    nice -n 15 python benchmarks/fuzz_parsers.py [--runs 80000] [--seconds 600] [--target NAME] [--seed 1] [--json]

A target is one of the ten providers, `mail` (`adapters.mime`, `adapters.inbound`) or `hooks` (`adapters.mapped` with the
samples in `data/hooks`); each runs in a process of its own, for `--runs` bodies or `--seconds`, whichever ends first. Atheris
(libFuzzer) keeps bodies that reach new code; `tests.mutating` changes them by their shape, libFuzzer by bytes. Seeds are
the golden cases, the samples and the mails of the tests. The first byte of an input chooses door and headers.

A finding is: an exception of `parse`, `replay_key` or `confirmation_url`; one of `verify` that is no RequestRefused; a proof
that passes for a changed body or fails for a good one; more than a second of CPU for a body under 1 MB (one in 2,000
is stretched to 900 kB); whatever `tests.judging` finds. Findings do not stop the run: each kind is kept once, with its
body, in `--findings DIR`. Exit status 1 where there is one.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

PROVIDERS = (
    "sendgrid",
    "mailgun",
    "postmark",
    "ses",
    "sparkpost",
    "resend",
    "brevo",
    "mailjet",
    "mandrill",
    "mailersend",
)
TARGETS = (*PROVIDERS, "mail", "hooks")
_INSTRUMENTED = ["adapters", "schemas", "email", "python_multipart", "jmespath"]
_ODD = "not usable"
_STRETCH_EVERY = 2_000
_STRETCHED = 900_000
_SLOW_S = 1.0
_MOST_BYTES = 32_768


class Judge:
    """Counts of one target and its findings: the first body of each kind is kept in the folder."""

    def __init__(self, target: str, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.door = 0
        self._target, self._folder = target, folder
        self._began, self._kept = time.time(), set[str]()

    def found(self, what: str, body: bytes) -> None:
        """Counts a finding."""
        self.counts[f"finding: {what}"] += 1
        if what not in self._kept:
            self._kept.add(what)
            digest = hashlib.sha256(f"{self._target}{what}".encode()).hexdigest()[:8]
            (self._folder / f"{self._target}-{digest}.body").write_bytes(bytes([self.door]) + body)
            text = what.encode("utf-8", "backslashreplace")
            (self._folder / f"{self._target}-{digest}.txt").write_bytes(text + b"\n")

    def guarded(self, what: str, body: bytes, call: Callable[[], Any], *allowed: type[Exception]) -> Any:
        """What the call returns; an exception that is not allowed is a finding, and so is slowness."""
        start = time.process_time()
        try:
            value = call()
        except allowed as error:
            value = error
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.found(f"{what} raises {type(error).__name__} in {Path(last.filename).name}:{last.name}", body)
            value = None
        took = time.process_time() - start
        if took > _SLOW_S and len(body) < 2**20:
            self.found(f"{what} is slow", body)
        self.counts["slowest_ms"] = max(self.counts["slowest_ms"], round(took * 1000))
        return value

    def save(self) -> None:
        """Writes the counts where the parent looks for them."""
        content = {"target": self._target, "seconds": round(time.time() - self._began), **self.counts}
        (self._folder / f"{self._target}.json").write_text(json.dumps(content), encoding="utf-8")


class ProviderTarget:
    """One adapter: `parse`, `verify` with good, changed and damaged proofs, and what else the module offers."""

    def __init__(self, name: str, judge: Judge) -> None:
        from adapters import REGISTRY
        from tests.samples import samples

        self._name, self._judge = name, judge
        self._adapter: Any = REGISTRY[name]
        self._sample = samples()[name]
        self._good = self._sample.sign(self._sample.body([self._sample.item(1)]), _now_s())

    def seeds(self) -> list[bytes]:
        """Bodies from the golden cases, the samples and the inbound mails, each behind the byte of its door."""
        from tests.bodies import seeds_of

        return [bytes([door]) + body for door, body in seeds_of(self._name)]

    def run(self, door: int, body: bytes) -> None:
        """One body through the door."""
        from tests.bodies import request_at
        from tests.judging import faults_of

        request = request_at(self._name, door, body)
        parsed = self._judge.guarded("parse", body, lambda: self._adapter.parse(request))
        if parsed is not None:
            for what in (
                *(self._judge.guarded("judging", body, lambda: faults_of(request, parsed)) or ()),
                *_odd(parsed),
            ):
                self._judge.found(what, body)
        if len(body) <= _MOST_BYTES:
            self._prove(request)

    def _prove(self, request: Any) -> None:
        from schemas.failures import RequestRefused

        sample, body, judge = self._sample, request.body, self._judge

        def verified(headers: dict[str, str], given: bytes) -> Any:
            one = _request(self._name, given, headers, inbound=False)
            if hasattr(self._adapter, "replay_key"):
                judge.guarded("replay_key", body, lambda: self._adapter.replay_key(one))
            if hasattr(self._adapter, "confirmation_url"):
                judge.guarded("confirmation_url", body, lambda: self._adapter.confirmation_url(one, sample.settings))
            return judge.guarded(
                "verify", body, lambda: self._adapter.verify(one, sample.settings, _now_s() * 1000), RequestRefused
            )

        refused = verified(self._good[1] | request.headers, body)
        if sample.signs_body and body != self._good[0] and refused is None:
            judge.found("verify lets a changed body pass", body)
        if sample.takes_any_bytes and judge.counts["runs"] % 4 == 0:
            signed, headers = sample.sign(body, _now_s())
            if verified(headers, signed) is not None:
                judge.found("verify refuses a good proof", body)
        for name, good in self._good[1].items():
            text = body[-200:].decode("latin-1")
            if text.strip() != good and verified(self._good[1] | {name: text}, self._good[0]) is None:
                judge.found("verify lets a damaged header pass", body)


class MailTarget:
    """A mail as it came over the wire."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def seeds(self) -> list[bytes]:
        """The mails and reports of the tests."""
        from tests.bodies import mails

        return [b"\x00" + raw for raw in mails()]

    def run(self, door: int, body: bytes) -> None:
        """The mail in bytes, or its text as HTML, or its lines as headers."""
        from adapters.inbound import Inbound, lines_of, read_mails
        from adapters.reading import receipt_of
        from tests.judging import faults_of

        request = _request("mail", body, {}, inbound=True)
        text = body.decode("utf-8", "replace")
        given = (
            lambda: Inbound(provider="ses", mime=body, event_id="x" if door & 4 else None),
            lambda: Inbound(provider="mailgun", html=text, headers=lines_of(text), recipient=text[:60]),
            lambda: Inbound(
                provider="mailjet", text=text, subject=text[:60], sender=text[-60:], headers=lines_of(text)
            ),
        )[door % 3]
        parsed = self._judge.guarded(
            "read_mails", body, lambda: read_mails([{}], receipt_of(request), lambda _: given())
        )
        if parsed is not None:
            for what in [*faults_of(request, parsed), *_odd(parsed)]:
                self._judge.found(what, body)


class HookTarget:
    """The mapping files in `data/hooks`, and one that gathers items from any depth."""

    def __init__(self, judge: Judge) -> None:
        from adapters.mapped import Mapped
        from adapters.mappings import read_mapping

        self._judge = judge
        self._hooks = [Mapped(path.stem, read_mapping(path)) for path in sorted((ROOT / "data/hooks").glob("*.toml"))]

    def seeds(self) -> list[bytes]:
        """Each tool's sample."""
        paths = sorted((ROOT / "data/hooks").glob("*.json"))
        return [bytes([number]) + path.read_bytes() for number, path in enumerate(paths)]

    def run(self, door: int, body: bytes) -> None:
        """One post to one of the hooks; a form where the byte says so."""
        from tests.judging import faults_of

        hook = self._hooks[door % len(self._hooks)]
        request = _request(
            "hook", body, {"content-type": "application/x-www-form-urlencoded"} if door & 64 else {}, inbound=False
        )
        parsed = self._judge.guarded("parse", body, lambda: hook.parse(request))
        if parsed is not None:
            for what in (*faults_of(request, parsed), *_odd(parsed)):
                self._judge.found(what, body)


def _now_s() -> int:
    from tests.samples import NOW_S

    return NOW_S


def _odd(parsed: Any) -> list[str]:
    """What dead letters say of errors that nobody has foreseen, without what varies."""
    return [re.sub(r"'[^']*'|[0-9]+", "…", f"odd: {one.detail}")[:80] for one in parsed.rejected if one.reason == _ODD]


def _request(name: str, body: bytes, headers: dict[str, str], *, inbound: bool) -> Any:
    from schemas.events import RawRequest
    from tests.bodies import RECEIVED_AT

    return RawRequest(
        provider=name, method="POST", url="/", received_at=RECEIVED_AT, headers=headers, body=body, inbound=inbound
    )


def _made(target: str, judge: Judge) -> Any:
    made = {"mail": MailTarget, "hooks": HookTarget}.get(target)
    return made(judge) if made else ProviderTarget(target, judge)


def _is_slow(path: Path, target: str) -> bool:
    """Whether a body is slow in this process too, where nothing is instrumented."""
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(target, Path(folder))
        data = path.read_bytes()
        _made(target, judge).run(data[0], data[1:])
        return any(what.endswith("is slow") for what in judge.counts)


def fuzz(target: str, runs: int, seconds: int, seed: int, folder: Path) -> None:
    """Runs one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED):
        import adapters.mapped  # noqa: F401 - imported here so that its branches are counted
    from tests.mutating import mutated, stretched

    judge = Judge(target, folder)
    found = _made(target, judge)
    seeds = found.seeds()
    donors = [one[1:] for one in seeds]

    def run(data: bytes) -> None:
        judge.counts["runs"] += 1
        judge.door = data[0] if data else 0
        found.run(judge.door, data[1:])
        if judge.counts["runs"] % _STRETCH_EVERY == 0:
            random = Random(judge.counts["runs"])
            judge.counts["stretched"] += 1
            body = random.choice(donors) if random.random() < 0.5 else data[1:]
            found.run(judge.door, stretched(body, random, _STRETCHED))
            judge.save()
        if judge.counts["runs"] >= runs:
            judge.save()

    def mutate(data: bytes, most: int, number: int) -> bytes:
        random = Random(number)
        if random.random() < 0.25:
            return bytes(atheris.Mutate(data, most))
        door = bytes([random.randrange(256)]) if random.random() < 0.1 else data[:1] or b"\x00"
        return door + mutated(data[1:] or random.choice(donors), random, donors, most - 1)

    corpus = folder / f"{target}.corpus"
    corpus.mkdir(exist_ok=True)
    for number, one in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(one)
    limits = [f"-runs={runs}", f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={_MOST_BYTES}"]
    atheris.Setup([sys.argv[0], *limits, "-timeout=60", "-verbosity=0", str(corpus)], run, custom_mutator=mutate)
    atheris.Fuzz()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the targets one after the other and prints a table."""
    options = argparse.ArgumentParser(description="Fuzzes everything that reads what strangers send.")
    options.add_argument("--runs", type=int, default=80_000, help="bodies a target")
    options.add_argument("--seconds", type=int, default=600, help="at most, a target")
    options.add_argument("--target", choices=TARGETS, action="append")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--findings", type=Path, help="folder for bodies that were found, and the corpus")
    options.add_argument("--json", action="store_true")
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args(argv)
    folder = chosen.findings or Path(tempfile.mkdtemp(prefix="fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    if chosen.child:
        fuzz(chosen.target[0], chosen.runs, chosen.seconds, chosen.seed, folder)
    found = [_told(target, chosen, folder) for target in chosen.target or TARGETS]
    findings = sum(count for one in found for what, count in one.items() if what.startswith("finding: "))
    if chosen.json:
        print(json.dumps(found))
    else:
        print(f"{sum(one.get('runs', 0) for one in found)} bodies, {findings} findings, kept in {folder}")
    return int(findings > 0)


def _told(target: str, chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The counts of one target, run in a child; a child that died is a finding too."""
    numbers = ["--runs", str(chosen.runs), "--seconds", str(chosen.seconds), "--seed", str(chosen.seed)]
    command = [sys.executable, __file__, "--child", "--target", target, *numbers, "--findings", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    path = folder / f"{target}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"target": target}
    if ended.returncode != 0:
        content["finding: the process died"] = 1
        (folder / f"{target}.stderr").write_text(ended.stderr[-20_000:], encoding="utf-8")
    for path in folder.glob(f"{target}-*.txt"):
        what = path.read_text(encoding="utf-8").strip()
        if what.endswith("is slow") and not _is_slow(path.with_suffix(".body"), target):
            content.pop(f"finding: {what}", None)
            path.unlink()
    if not chosen.json:
        told = ", ".join(f"{what} {count}" for what, count in content.items() if what != "target")
        print(f"{target:<11}{told}", flush=True)
    return content


if __name__ == "__main__":
    sys.exit(main())
