"""One module a page, each with `draw(source, who)`: what is seen, in the order in which it is seen."""
