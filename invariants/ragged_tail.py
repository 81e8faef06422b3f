#!/usr/bin/env python3
"""Padding never contributes: buffers rounded up to whole tiles give what the exact lengths give.

Tiles read full rows of keys and write full rows of queries; past Skv and Sq lies whatever the
allocator left. The simulation fills it with poison, runs the tile loop, and compares every output
row, and every guard cell behind the output, with a loop that knows no tiles. Over GF(P): exact.
Source: tail predicates of every tiled kernel.
"""
import law
from law import INF, P, ceil_div, fault, gexp

GUARD = -1


def key_limit(skv, tile):
    if fault("tail_unmasked"):
        return ceil_div(skv, tile) * tile
    return skv + 1 if fault("limit_inclusive") else skv


def one_row(q, k, v, skv, tile):
    """Fold tiles over the padded buffers k and v."""
    m, l, o = -INF, 0, 0
    tiles = skv // tile if fault("tail_dropped") else ceil_div(skv, tile)
    limit = key_limit(skv, tile)
    hidden = 0 if fault("tail_scores_zero") else -INF
    for t in range(tiles):
        cols = range(t * tile, (t + 1) * tile)
        s = [q * k[j] if j < limit else hidden for j in cols]
        new = max([m] + s)
        back = gexp(m - new)
        p = [gexp(x - new) for x in s]
        l = (l * back + sum(p)) % P
        o = (o * back + sum(w * v[j] for w, j in zip(p, cols))) % P
        m = new
    return [m, l, o]


def tiled(case):
    sq, skv, mt, nt = case["sq"], case["skv"], case["mt"], case["nt"]
    pad_k, pad_q = nt + 1, mt
    q = case["q"] + [case["poison"]] * pad_q
    k = case["k"] + [case["poison"]] * pad_k
    v = [3 + 5 * j for j in range(skv)] + [case["poison"] + 11] * pad_k
    out = [GUARD] * (sq + pad_q)
    for first in range(0, sq, mt):
        last = first + mt
        if not fault("store_unguarded"):
            last = min(last, sq)
        if fault("ragged_rows_dropped") and first + mt > sq:
            continue
        for i in range(first, last):
            out[i] = one_row(q[i], k, v, skv, nt)
    return out


def sides(case):
    skv, mt = case["skv"], case["mt"]
    v = [3 + 5 * j for j in range(skv)]
    want = []
    for q in case["q"]:
        s = [q * x for x in case["k"]]
        m = max(s)
        p = [gexp(x - m) for x in s]
        want.append([m, sum(p) % P, sum(w * x for w, x in zip(p, v)) % P])
    return tiled(case), want + [GUARD] * mt


law.run(sides)
