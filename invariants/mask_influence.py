#!/usr/bin/env python3
"""A masked key has no influence: other finite K and V there leave O and LSE the same, bit for bit.

Masking after the maximum was taken, or with a finite number, gives answers that look right on
friendly data and leak the hidden key on others. The law needs no reference: it runs the fp32
tile loop twice, once with the masked keys and values replaced, and both runs must agree in every
bit. Source: metamorphic testing; the zero-influence property of a mask.
"""
import math

import law
from law import INF, div, exp32, f32, fault


def score(q, k, j):
    total = 0.0
    for c, x in enumerate(q):
        total = f32(total + f32(x * k[j * len(q) + c]))
    return total


def tile_step(state, s, live, v):
    m, l, o = state
    hidden = -100.0 if fault("finite_mask") else -INF
    shown = [x if keep else hidden for x, keep in zip(s, live)]
    new = max([m] + (s if fault("mask_after_max") else shown))
    if new == -INF:
        return state
    back = exp32(f32(m - new))
    l, o = f32(l * back), f32(o * back)
    for x, raw, keep, value in zip(shown, s, live, v):
        p = exp32(f32(x - new))
        if fault("mask_output_only"):
            l = f32(l + exp32(f32(raw - new)))
        else:
            l = f32(l + p)
        o = f32(o + f32((exp32(f32(raw - new)) if fault("mask_sum_only") else p) * value))
    return new, l, o


def attend(q, k, v, live, tile):
    n = len(v)
    if fault("mask_shifted"):
        live = live[1:] + [1]
    state = (-INF, 0.0, 0.0)
    for lo in range(0, n, tile):
        hi = min(n, lo + tile)
        s = [score(q, k, j) for j in range(lo, hi)]
        seen = [1] * (hi - lo) if fault("first_tile_unmasked") and lo == 0 else live[lo:hi]
        state = tile_step(state, s, seen, v[lo:hi])
    m, l, o = state
    if l == 0:
        return [0.0, -INF]
    return [div(o, l), m + math.log(l)]


def sides(case):
    n, q, live, junk = case["n"], case["q"], case["live"], case["junk"]
    k, v = case["k"], case["v"]
    k2 = [k[i] if live[i // 2] else junk for i in range(2 * n)]
    v2 = [v[j] if live[j] else -junk for j in range(n)]
    return attend(q, k, v, live, case["tile"]), attend(q, k2, v2, live, case["tile"])


law.run(sides)
