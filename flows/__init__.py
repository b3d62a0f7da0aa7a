"""Bytewax dataflows, one file each, `build(...)` readable top to bottom; the only room that knows Bytewax."""
