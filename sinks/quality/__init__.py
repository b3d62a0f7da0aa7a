"""Data quality of the landed tables: SQL measures them, Great Expectations judges the measures.

`frames` has the measures, small tables that DuckDB makes of one snapshot of the lake (8 s of CPU on 10 million events);
`suites` says what must hold of them; `judging` has Great Expectations validate that, and write its Data Docs.
"""
