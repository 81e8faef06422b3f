#!/usr/bin/env python3
"""Skipping tiles above the causal diagonal visits exactly the live pairs, and no tile without one.

Key j is visible to query i iff j <= i + Skv - Sq (bottom-right aligned). The kernel loops a query
tile over key tiles up to a bound, masks only tiles that the diagonal crosses, and trusts the rest.
The bound must cover the last live column of the last row of the tile and no dead tile; for
Skv < Sq it may be negative before it is clamped. Source: FlashAttention-2 (Dao 2023), section 3.1.
"""
import law
from law import ceil_div, fault


def key_tiles(case, first, last):
    """How many key tiles the query tile of rows first..last loops over."""
    offset = 0 if fault("top_left_aligned") else case["skv"] - case["sq"]
    row = first if fault("bound_of_first_row") else last
    columns = row + offset + (0 if fault("off_by_one") else 1)
    columns = min(columns, case["skv"])
    if columns <= 0:
        return 1 if fault("negative_bound_truncates") and columns > -case["nt"] else 0
    tiles = columns // case["nt"] if fault("bound_rounds_down") else ceil_div(columns, case["nt"])
    return tiles + 1 if fault("one_tile_too_many") else tiles


def visit(case):
    sq, skv, mt, nt = case["sq"], case["skv"], case["mt"], case["nt"]
    offset = skv - sq
    seen, tiles = [], 0
    for first in range(0, sq, mt):
        last = min(sq, first + mt) - 1
        for t in range(key_tiles(case, first, last)):
            lo, hi = t * nt, min(skv, (t + 1) * nt)
            tiles += 1
            edge = (last if fault("interior_of_last_row") else first) + offset
            interior = hi - 1 <= edge
            for i in range(first, last + 1):
                seen += [[i, j] for j in range(lo, hi) if interior or j <= i + offset]
    return [sorted(seen), tiles]


def sides(case):
    sq, skv, mt, nt = case["sq"], case["skv"], case["mt"], case["nt"]
    live = [[i, j] for i in range(sq) for j in range(skv) if j <= i + skv - sq]
    tiles = {(i // mt, j // nt) for i, j in live}
    return visit(case), [live, len(tiles)]


law.run(sides)
