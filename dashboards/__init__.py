"""The live pages over the lake: what a sales lead wants to see and do, in Streamlit.

`app` has the pages, `live` draws one and keeps it fresh, `screens` is the layout of each. `process` is what all who look
share, `reader` reaches the lake, `kept` keeps what was read. SQL stands in `queries`, `attention`, `campaign`,
`deliverability`, `inbox`, `times`, `state`, and `invariants`; `tiles`, `table`, `listing`, `charts` and `words` turn figures
into what is seen. `commands` and `held` are what a person does: pause, resume, keep, correct.
"""
