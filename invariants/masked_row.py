#!/usr/bin/env python3
"""A row that sees no key answers O = 0 and LSE = -inf, never nan or a mean of V; no other row does.

With -inf scores the naive code computes exp(-inf - -inf) and 0 / 0; with a finite sentinel it
returns the mean of V for a row that attends to nothing. Rows of one tile share the loop, so a dead
row must not end it for the living. Every mask of a small matrix is tried. V >= 1 here, so O = 0
can only come from an empty row. Source: the declared value of an empty softmax in this study.
"""
import math

import law
from law import INF, div, exp32, f32, fault

SENTINEL = -1e30


def row_step(state, s, v):
    m, l, o = state
    new = max([m] + s)
    if new == -INF and not fault("no_guard"):
        return state
    back = exp32(m - new)
    p = [exp32(x - new) for x in s]
    return [new, f32(l * back + sum(p)), f32(o * back + sum(a * b for a, b in zip(p, v)))]


def finish(state):
    m, l, o = state
    if fault("sum_floor"):
        l = max(l, 1e-30)
        return [o / l, (m if m > -INF else 0.0) + math.log(l)]
    if l == 0 and not fault("divides_by_zero"):
        return [0.0, 0.0 if fault("lse_zero") else -INF]
    return [div(o, l), m + math.log(l) if l > 0 else -INF]


def attend(case):
    rows, n, tile, live = case["rows"], case["n"], case["tile"], case["live"]
    hidden = SENTINEL if fault("finite_mask") else -INF
    states = [[-INF, 0.0, 0.0] for _ in range(rows)]
    for lo in range(0, n, tile):
        hi = min(n, lo + tile)
        if fault("dead_tile_ends_loop") and not any(live[j] for j in range(lo, hi)):
            break
        for r in range(rows):
            s = [float(j % 3) if live[r * n + j] else hidden for j in range(lo, hi)]
            states[r] = row_step(states[r], s, [1.0 + j for j in range(lo, hi)])
    return [finish(state) for state in states]


def kind(o, lse):
    if o == 0 and lse == -INF:
        return "empty"
    return "live" if math.isfinite(o) and math.isfinite(lse) and o >= 1 else "broken"


def sides(case):
    n, live = case["n"], case["live"]
    want = ["live" if any(live[r * n:(r + 1) * n]) else "empty" for r in range(case["rows"])]
    return [kind(*row) for row in attend(case)], want


law.run(sides)
