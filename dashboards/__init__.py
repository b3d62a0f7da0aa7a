"""The live page over the lake: what a sales lead wants to see, in Streamlit.

`reader` reaches the lake, `filters` say what to look at, `queries` hold the SQL, `invariants` what must always hold;
`tiles`, `table`, `charts` and `words` turn figures into what is seen; `app` is the layout alone.
"""
