"""Alerts: what the guard, a person or another part decided is told to people, through Apprise.

The way: streams `control` and `results` -> `reading` (a notice in words for each target) -> `outbox` (a small SQLite file)
-> `pacing` (repeats and floods are folded into one message) -> `sending` (a thread for each target) -> rows of table `alerts`.
"""
