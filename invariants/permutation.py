#!/usr/bin/env python3
"""Permuting keys together with their values changes nothing, and heads do not see each other.

Attention without a mask is a function of a set of (key, value) pairs; a result that depends on
their order depends on the tiling. The kernel walks heads one after another and reuses its state;
a head's result must not depend on the head before it. The output is linear in V, so one
generic V over GF(P) stands for all: exact. Source: permutation equivariance of attention.
"""
import law
from law import INF, P, ceil_div, fault, generic, gexp


def head(state, s, v, tile):
    m, l, o = state
    tiles = len(s) // tile if fault("tail_dropped") else ceil_div(len(s), tile)
    for lo in range(0, tiles * tile, tile):
        part = s[lo:lo + tile]
        if fault("position_leaks"):
            part = [x + (lo > 0) for x in part]
        new = max([m] + part)
        back = 1 if fault("first_tile_not_rescaled") and lo == tile else gexp(m - new)
        p = [gexp(x - new) for x in part]
        base = 0 if fault("value_index_local") else lo
        l = (l * back + sum(p)) % P
        o = (o * back + sum(w * v[base + j] for j, w in enumerate(p))) % P
        m = new
    return [m, l, o]


def heads(first, second, tile):
    """State of two heads run one after the other, as one thread does."""
    empty = [-INF, 0, 0]
    a = head(empty, *first, tile)
    if fault("state_not_reset"):
        start = a
    elif fault("maximum_not_reset"):
        start = [a[0], 0, 0]
    else:
        start = empty
    return [a, head(start, *second, tile)]


def sides(case):
    tile, perm = case["tile"], case["perm"]
    s, other = case["s"], case["other"]
    v = [generic(j) for j in range(len(s))]
    moved = ([s[j] for j in perm], [v[j] for j in perm])
    a = heads((other, v), (s, v), tile)
    b = heads((s, v), moved, tile)
    return [b[1], b[0]], [a[1], a[1]]


law.run(sides)
