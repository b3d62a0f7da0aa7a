"""The networks of security scanners, from `data/scanner_networks.csv`: each row with its source and the day it was read."""

import csv
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Network

from features.suspicion import Network


@cache
def scanner_networks() -> tuple[Network, ...]:
    """The networks in the file's order."""
    with files("data").joinpath("scanner_networks.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    networks = [(IPv4Network(row["network"]), row["owner"]) for row in rows]
    return tuple(Network(int(one.network_address), int(one.broadcast_address), owner) for one, owner in networks)
