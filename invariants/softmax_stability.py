#!/usr/bin/env python3
"""In fp32 every argument of exp is <= 0, l >= 1 for a row with a key, and nothing finite becomes inf or nan.

Exact algebra cannot see this: subtracting no maximum, or the wrong one, is right over the reals and
overflows at a score of 89 in fp32. So this law runs the on-line softmax in emulated fp32 on extreme
scores and watches its exponents. Sides: [largest exponent, 1 - l, non-finite values seen] at most
[0, 0, 0]. Source: the safe softmax (Milakov and Gimelshein 2018).
"""
import math

import law
from law import INF, div, exp32, f16, f32, fault


class Watch:
    """An exp that remembers the largest argument it was given."""

    def __init__(self):
        self.top = -INF

    def exp(self, x):
        if x > -INF:
            self.top = max(self.top, x)
        return exp32(x)


def new_maximum(m, s, first):
    if fault("no_max_subtraction"):
        return 0.0
    if fault("local_max_only"):
        return max(s)
    if fault("stale_max") and not first:
        return m
    if fault("max_of_abs"):
        return max([m] + [abs(x) for x in s])
    return max([m] + s)


def online(s, v, tile):
    watch = Watch()
    rnd = f16 if fault("fp16_accumulator") else f32
    m, l, o = (0.0 if fault("init_m_zero") else -INF), 0.0, 0.0
    for lo in range(0, len(s), tile):
        part = s[lo:lo + tile]
        new = new_maximum(m, part, lo == 0)
        back = watch.exp(f32(m - new))
        l, o = rnd(l * back), rnd(o * back)
        for j, x in enumerate(part):
            p = watch.exp(f32(x - new))
            l, o = rnd(l + p), rnd(o + f32(p * v[lo + j]))
        m = new
    out = div(o, l)
    lse = m + math.log(l) if l > 0 else math.nan
    return watch.top, l, [x for x in (l, o, out, lse) if not math.isfinite(x)]


def sides(case):
    s = [f32(x) for x in case["s"]]
    v = [f32(x) for x in case["v"]]
    top, l, broken = online(s, v, case["tile"])
    return [top, 1.0 - l, len(broken)], [0, 0, 0]


law.run(sides)
