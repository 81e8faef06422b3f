#!/usr/bin/env python3
"""Folding any tiling of the keys in any order gives the state of the three-pass softmax.

The fused kernel visits keys in tiles and rescales when the maximum grows; the tile size is a free
choice and threads take tiles in any order, so every tiling and order must give one result. The
output is linear in v, so one generic v over GF(P) stands for all; exp is a homomorphism and the
comparison exact. Masked keys have score -inf. Source: FlashAttention (Dao et al. 2022), algorithm 1.
"""
import law
from law import INF, P, ceil_div, fault, generic, gexp


def reference(s):
    m = max(s)
    if m == -INF:
        return [m, 0, 0]
    p = [gexp(x - m) for x in s]
    return [m, sum(p) % P, sum(w * generic(j) for j, w in enumerate(p)) % P]


def bounds(t, tile, n):
    if fault("tail_overlaps") and (t + 1) * tile > n:
        return max(0, n - tile), n
    return t * tile, min(n, (t + 1) * tile)


def step(state, s, lo, hi):
    m, l, o = state
    top = max(s[lo:hi], default=-INF)
    new = top if fault("local_max_only") else max(m, top)
    if new == -INF:
        return state
    back = gexp(new - m if fault("rescale_inverted") and m > -INF else m - new)
    p = [gexp(x - new) for x in s[lo:hi]]
    l = l * (1 if fault("l_not_rescaled") else back) + sum(p)
    o = o * (1 if fault("o_not_rescaled") else back) + sum(w * generic(lo + j) for j, w in enumerate(p))
    return [new, l % P, o % P]


def sides(case):
    n, tile, s = case["n"], case["tile"], case["s"]
    tiles = n // tile if fault("tail_dropped") else ceil_div(n, tile)
    state = [0 if fault("init_m_zero") else -INF, 0, 0]
    for t in case["order"]:
        if t < tiles:
            state = step(state, s, *bounds(t, tile, n))
    return state, reference(s)


law.run(sides)
