"""Where results land: the lake (DuckLake), and what reads it. Only this room writes to the lake."""
