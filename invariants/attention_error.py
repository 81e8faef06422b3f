#!/usr/bin/env python3
"""|O - O*| is at most what n roundings in fp32 allow: a bound derived, not a tolerance chosen.

O* is computed in double precision. Each of n terms carries the rounding of its score (absolute
error eps |s|, hence a relative one in exp), of exp itself, of the product and of the sums, so
|O - O*| <= (c n + 4 max |s| + c) eps max |V| with c = 8. A kernel that keeps P, l or O in half
precision exceeds it. Source: running error analysis (Higham, Accuracy and Stability, ch. 3-4).
"""
import math

import law
from law import INF, bf16, div, exp32, f16, f32, fault

EPS = 2.0 ** -24


def online(s, v, tile):
    keep = f16 if fault("fp16_accumulator") else f32
    m, l, o = -INF, 0.0, 0.0
    for lo in range(0, len(s), tile):
        part = [bf16(x) if fault("bf16_scores") else x for x in s[lo:lo + tile]]
        new = max([m] + part)
        back = exp32(f32(m - new))
        l, o = f32(l * back), keep(o * back)
        for j, x in enumerate(part):
            p = exp32(f32(x - new))
            if fault("fp16_weights"):
                p = f16(p)
            if fault("approximate_exp"):
                p = f32(p * (1 + 2.0 ** -12))
            l = f32(l + (f16(p) if fault("fp16_sum_terms") else exp32(f32(x - new))))
            o = keep(o + f32(p * v[lo + j]))
        m = new
    return f32(div(o, l))


def sides(case):
    s, v = case["s"], case["v"]
    m = max(s)
    p = [math.exp(x - m) for x in s]
    exact = math.fsum(a * b for a, b in zip(p, v)) / math.fsum(p)
    spread = max(abs(x) for x in s)
    bound = (8 * len(s) + 8 + 4 * spread) * EPS * max(abs(x) for x in v)
    return abs(online(s, v, case["tile"]) - exact), bound


law.run(sides)
