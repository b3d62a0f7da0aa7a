"""The client of dispatchers: questions per second, seconds to load, and how soon another process's pause is obeyed.

Fills a control stream with pauses and suppressions, asks about messages of which some are covered, then has another
process append commands and measures, in this one, from before the append to the first `allowed() == no`. Prints one JSON
object. Both processes read the machine's monotonic clock.

    python -m benchmarks.allowed
    python -m benchmarks.allowed --pauses 1000 --suppressions 100000 --calls 500000 --stops 200
"""

import argparse
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from control.client import ControlClient
from control.commands import append, decide, decide_on_person
from control.scopes import parse_scope
from eventlog.sqlite import SqliteLog
from schemas.events import CommandAction

_BATCH = 10_000


def fill(log: SqliteLog, pauses: int, suppressions: int) -> None:
    """Appends pauses of four forms, every tenth a slow-down, and suppressed people."""
    forms = (
        "campaign:c{0}",
        "campaign:c{0},step:{1}",
        "sender:s{0}@out.example,domain:d{1}.example",
        "domain:d{0}.example",
    )
    commands = []
    for n in range(pauses):
        action = CommandAction.SLOW if n % 10 == 0 else CommandAction.PAUSE
        scope = parse_scope(forms[n % 4].format(n, n % 7))
        commands.append(decide(action, scope, by="bench", why="measured", send_share=0.5 if n % 10 == 0 else 0.0))
    commands += [
        decide_on_person(
            CommandAction.SUPPRESS, contact_id=f"p{n}" if n % 2 else None, recipient=f"p{n}@d{n % 5000}.example",
            channel="all", by="bench", why="unsubscribed",
        )
        for n in range(suppressions)
    ]  # fmt: skip
    for at in range(0, len(commands), _BATCH):
        append(log, *commands[at : at + _BATCH])


def ask(client: ControlClient, calls: int) -> tuple[float, float]:
    """(questions per second, share of yes) over made-up messages."""
    rng = random.Random(1)
    messages = [
        (f"c{rng.randrange(4000)}", f"s{rng.randrange(4000)}@out.example", f"p{(p := rng.randrange(10**6))}@d{p % 5000}.example",
         f"p{p}", str(p % 7), "AB"[p % 2])
        for _ in range(min(calls, 100_000))
    ]  # fmt: skip
    yes, began = 0, time.perf_counter()
    for n in range(calls):
        yes += client.allowed(*messages[n % len(messages)]).allowed
    return calls / (time.perf_counter() - began), yes / calls


def stop_things(folder: str, pipe: Connection) -> None:
    """Another process: appends a pause of each scope that it is told, and says when it began and had done so."""
    log = SqliteLog(Path(folder))
    while scope := pipe.recv():
        command = decide(CommandAction.PAUSE, parse_scope(scope), by="other", why="measured")
        time.sleep(random.random() * 0.2)  # at any moment between two looks
        began = time.monotonic()
        append(log, command)
        pipe.send((began, time.monotonic()))


def staleness(client: ControlClient, folder: Path, stops: int) -> tuple[list[float], list[float]]:
    """Seconds from before, and from after, the append in another process to the first no here."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    other = multiprocessing.get_context("spawn").Process(target=stop_things, args=(str(folder), there))
    other.start()
    from_before, from_after = [], []
    for n in range(stops):
        message = (f"stopped-{n}", "s@out.example", "x@elsewhere.example")
        here.send(f"campaign:{message[0]}")
        while client.allowed(*message).allowed:
            time.sleep(0.001)
        seen = time.monotonic()
        began, done = here.recv()
        from_before.append(seen - began)
        from_after.append(max(0.0, seen - done))
    here.send("")
    other.join()
    return from_before, from_after


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pauses", type=int, default=1_000)
    parser.add_argument("--suppressions", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=500_000)
    parser.add_argument("--stops", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder))
        fill(log, asked.pauses, asked.suppressions)
        process = psutil.Process()
        before_mib, cpu, began = process.memory_info().rss / 2**20, time.process_time(), time.perf_counter()
        client = ControlClient(log)
        client.look()
        loaded, loaded_cpu = time.perf_counter() - began, time.process_time() - cpu
        memory = process.memory_info().rss / 2**20 - before_mib
        rate, yes = ask(client, asked.calls)
        before, after = staleness(client, Path(folder), asked.stops)
        log.close()
    found = {
        "commands": asked.pauses + asked.suppressions,
        "load_seconds": round(loaded, 2),
        "load_cpu_seconds": round(loaded_cpu, 2),
        "memory_mib": round(memory),
        "calls_per_second": round(rate),
        "allowed_share": round(yes, 3),
        **{f"{name}_ms": round(value * 1000, 1) for name, value in (
            ("append_to_no_median", statistics.median(before)),
            ("append_to_no_p99", statistics.quantiles(before, n=100)[98]),
            ("append_to_no_max", max(before)),
            ("durable_to_no_median", statistics.median(after)),
            ("durable_to_no_p99", statistics.quantiles(after, n=100)[98]),
        )},
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
