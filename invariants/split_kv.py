#!/usr/bin/env python3
"""Splitting the keys over workers and combining (O, LSE) pairs equals the single pass.

Split-KV kernels store a normalised O and LSE = m + log l per split; the combine weighs the O's
by exp(LSE_i - LSE). Splits may be empty, which is LSE = -inf and weight 0. The same law covers the
LSE a forward pass hands to the backward pass. Double precision under a rounding bound; the exact
algebra is the merge law's. Source: Flash-Decoding (Dao et al. 2023).
"""
import math

import law
from law import INF, ceil_div, fault


def part(s, v):
    """(O, LSE) of one split."""
    if not s:
        return 0.0, 0.0 if fault("empty_split_counts") else -INF
    m = max(s)
    p = [math.exp(x - m) for x in s]
    l = sum(p)
    o = sum(a * b for a, b in zip(p, v)) / l
    if fault("lse_without_m"):
        return o, math.log(l)
    return o, m + (math.log2(l) if fault("lse_in_base_2") else math.log(l))


def split(s, v, workers):
    n = len(s)
    size = ceil_div(n, workers)
    for w in range(workers - 1 if fault("last_split_dropped") and workers > 1 else workers):
        lo, hi = min(n, w * size), min(n, (w + 1) * size)
        if fault("splits_overlap"):
            hi = min(n, hi + 1)
        yield part(s[lo:hi], v[lo:hi])


def combine(parts):
    top = max(lse for _, lse in parts)
    w = [0.0 if lse == -INF else math.exp(lse - top) for _, lse in parts]
    if fault("equal_weights"):
        w = [1.0 if lse > -INF else 0.0 for _, lse in parts]
    total = sum(w)
    return [sum(a * o for a, (o, _) in zip(w, parts)) / total, top + math.log(total)]


def sides(case):
    s, v = case["s"], case["v"]
    m = max(s)
    p = [math.exp(x - m) for x in s]
    l = sum(p)
    return combine(list(split(s, v, case["workers"]))), [sum(a * b for a, b in zip(p, v)) / l, m + math.log(l)]


law.run(sides)
