"""The style sheet that all pages share; colours work on light and dark, and text scales with the browser's own size."""

from typing import Final

_STYLE: Final = """
.stApp [data-testid="stHeader"] {background: transparent; height: 2.6rem; min-height: 0}
.stApp [data-testid="stStatusWidget"], .stApp [data-testid="stDecoration"] {display: none}
.stApp [data-testid="stMainBlockContainer"] {padding: 1.6rem 2rem 3rem; max-width: 1500px}
.stApp [data-stale="true"] {opacity: 1 !important; transition: none !important}
.stApp [data-testid="stMainBlockContainer"] > [data-testid="stVerticalBlock"] {gap: .7rem}
.stApp .st-key-filters {padding-bottom: .2rem}
.head {display: flex; justify-content: space-between; align-items: baseline; flex-wrap: wrap; gap: .2rem 2rem}
.head h1 {font-size: 1.7rem; font-weight: 650; padding: 0; margin: 0; letter-spacing: -.01em}
.head .fresh {font-size: .875rem; font-variant-numeric: tabular-nums; opacity: .85}
.head .fresh b {font-weight: 600}
.head .dot {display: inline-block; width: .6rem; height: .6rem; border-radius: 50%; margin-right: .35rem;
    border: 2px solid #8A949E}
.head .dot.live {background: #2A9D78; border-color: #2A9D78}
.head .dot.down {background: #D1495B; border-color: #D1495B}
h2.part {font-size: 1.1rem; font-weight: 620; padding: .8rem 0 0; margin: 0}
p.note {font-size: .85rem; opacity: .75; margin: .1rem 0 0; max-width: 75ch}
.empty {display: flex; gap: .9rem; border: 1px dashed rgba(128, 140, 150, .55); border-radius: .6rem;
    padding: 1.1rem 1.3rem; align-items: flex-start}
.empty > span {font-size: 1.4rem; line-height: 1.5rem; opacity: .8}
.empty p {margin: .25rem 0 0; opacity: .85; max-width: 72ch}
.empty code, p.note code {background: rgba(128, 140, 150, .18); padding: .05rem .3rem; border-radius: .25rem;
    font-size: .9em}
div.wide {overflow-x: auto; outline-offset: 2px}
table.campaigns, table.listing {width: 100%; border-collapse: collapse; font-size: .875rem;
    font-variant-numeric: tabular-nums}
table.listing caption {position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)}
table.campaigns th, table.listing th {font-weight: 550; padding: .35rem .6rem; opacity: .78; vertical-align: bottom;
    text-align: left; white-space: nowrap}
table.campaigns th {text-align: right; white-space: normal}
table.campaigns td, table.listing td {padding: .35rem .6rem; border-top: 1px solid rgba(128, 140, 150, .25);
    white-space: nowrap; text-align: left; vertical-align: top}
table.campaigns td {text-align: right}
table.listing th.number, table.listing td.number {text-align: right}
table.listing td.words {white-space: normal; min-width: 18rem}
table.campaigns th:first-child, table.campaigns td:first-child {text-align: left; padding-left: .2rem}
table.campaigns td.small {opacity: .8}
table.campaigns .bar {display: inline-block; width: 3.6rem; height: .5rem; margin-left: .5rem; border-radius: 2px;
    background: rgba(128, 140, 150, .2); text-align: left; vertical-align: middle}
table.campaigns .bar i {display: block; height: 100%; border-radius: 2px; background: #3B82C4}
.warn {background: #F8E3B0; color: #4A3300; border-radius: 3px; padding: .1rem .35rem; white-space: nowrap}
.alarm {background: #B83A12; color: #fff; border-radius: 3px; padding: .1rem .35rem; font-weight: 600;
    white-space: nowrap}
.good {background: #CDEBDD; color: #0E4A34; border-radius: 3px; padding: .1rem .35rem; white-space: nowrap}
.chip {display: inline-block; border: 1px solid rgba(128, 140, 150, .5); border-radius: 1rem; padding: .05rem .6rem;
    font-size: .8rem; margin: 0 .3rem .25rem 0; white-space: nowrap}
.chip.hot {border-color: #D1495B; color: inherit; border-width: 2px}
.item {display: flex; gap: .7rem; align-items: baseline}
.item .mark {flex: none; min-width: 3.2rem; text-align: center; font-size: .8rem}
.item strong {font-weight: 620}
.item > span:last-child {overflow-wrap: anywhere; min-width: 0}
.item span.why {opacity: .8}
.letter {white-space: pre-wrap; overflow-wrap: anywhere; font-size: .95rem; line-height: 1.45; margin: .3rem 0 .2rem;
    border-left: 3px solid rgba(128, 140, 150, .45); padding: .1rem 0 .1rem .8rem; max-height: 15rem; overflow-y: auto}
dl.tiles {display: grid; grid-template-columns: repeat(4, 1fr); gap: .7rem; margin: 0 !important; padding: 0 !important}
.tile {border: 1px solid rgba(128, 140, 150, .35); border-radius: .6rem; padding: .7rem .9rem; margin: 0}
.tile dt {font-size: .85rem; opacity: .8; margin: 0}
.tile dd {margin: 0 !important; padding: 0 !important}
.tile .value {font-size: 1.55rem; font-weight: 620; font-variant-numeric: tabular-nums; letter-spacing: -.01em}
.tile .sure {font-size: .78rem; opacity: .75; font-variant-numeric: tabular-nums}
.tile .change {font-size: .82rem; font-variant-numeric: tabular-nums}
.tile .up {color: #1E7A60} .tile .down {color: #BE3F25} .tile .flat {opacity: .75}
details.evidence {margin: .5rem 0 0} details.evidence summary {cursor: pointer; font-size: .875rem}
.st-key-sql textarea {font-family: ui-monospace, "SFMono-Regular", Consolas, "Liberation Mono", monospace;
    font-size: .875rem}
.stApp [data-testid="stFormSubmitButton"] kbd, .stApp [data-testid="stFormSubmitButton"] *:has(> kbd) {
    color: #fff !important; opacity: 1 !important}
dl.tiles.facts {grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); margin-top: .5rem !important}
dl.facts .tile {padding: .4rem .6rem} dl.facts dd {font-size: .9rem; overflow-wrap: anywhere}
.tile.alarm-tile {border: 2px solid #C8462B} .tile.warn-tile {border: 2px solid #D9A520}
@media (max-width: 640px) {
    .stApp [data-testid="stMainBlockContainer"] {padding: 2.6rem .9rem 3rem}
    .head h1 {font-size: 1.4rem}
    dl.tiles {grid-template-columns: repeat(2, 1fr)}
    table.listing td.words {min-width: 14rem}
}
"""

_LIGHT: Final = """
.stApp .js-plotly-plot .main-svg text:not(.bartext-inside, .heatmap-label *, .hoverlayer *) {fill: #4A5866 !important}
.tile.warn-tile {border-color: #A87800}
"""
"""Streamlit's own grey of words in charts is 3.7:1 on white."""
_DARK: Final = """
.stApp [data-testid="stButtonGroup"] [aria-checked="true"] p,
.stApp [data-testid="stButtonGroup"] [aria-checked="true"] {color: #7DBDF0}
.tile .up {color: #4CC39B} .tile .down {color: #F0866D} .tile.alarm-tile {border-color: #F0866D}
"""


def style_html(*, is_dark: bool) -> str:
    """The style sheet of a page."""
    return f"<style>{_STYLE}{_DARK if is_dark else _LIGHT}</style>"
