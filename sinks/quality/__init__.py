"""Data quality of the landed tables: SQL measures them, Great Expectations judges the measures.

`frames` has the measures, small tables that DuckDB makes of one snapshot of the lake (16 s of CPU on 10 million events), those
of `recounts` (figures counted anew from facts) and of `gaps` (what is missing against what is usual) among them;
`suites` says what must hold of them; `judging` has Great Expectations validate that, and write its Data Docs.
"""
