#!/usr/bin/env python3
"""A grid of threads cuts C into parts that cover it once, each whole in register tiles except at C's edge.

Threads share nothing, so an element computed by two is a race and one computed by none is garbage;
a cut inside a register tile makes every thread pay for a ragged edge. Some parts may be empty when
there are more threads than tiles. Sides: owners of each element, and whether a cut that is not at
the edge lies on a tile. Source: the partition of the threaded product.
"""
import law
from law import ceil_div, fault


def cut(total, tile, parts, x):
    """Where part x of `parts` begins, in elements."""
    tiles = total // tile if fault("tiles_round_down") else ceil_div(total, tile)
    if fault("share_rounds_down"):
        at = x * (tiles // parts)
    elif fault("cut_in_elements"):
        return total * x // parts
    else:
        at = x * tiles // parts
    return at * tile if fault("edge_not_clamped") else min(total, at * tile)


def sides(case):
    m, n, rows, columns = case["m"], case["n"], case["rows"], case["columns"]
    mr, nr = case["mr"], case["nr"]
    owners, cuts = [0] * (m * n), []
    for x in range(rows * columns):
        r, c = (x // rows, x % rows) if fault("grid_transposed") else (x // columns, x % columns)
        top, bottom = cut(m, mr, rows, r), cut(m, mr, rows, r + 1)
        left, right = cut(n, nr, columns, c), cut(n, nr, columns, c + 1)
        cuts.append([bottom == m or bottom % mr == 0, right == n or right % nr == 0])
        for i in range(top, bottom):
            for j in range(left, right):
                if i < m and j < n:
                    owners[i * n + j] += 1
                else:
                    cuts.append("outside")
    return [owners, cuts], [[1] * (m * n), [[True, True]] * (rows * columns)]


law.run(sides)
