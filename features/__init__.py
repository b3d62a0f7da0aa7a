"""Pure functions and online models over Arrow, Polars and DuckDB's in-memory engine: no I/O, no flow engine."""
