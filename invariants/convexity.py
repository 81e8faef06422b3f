#!/usr/bin/env python3
"""An output is a convex combination of the values: min V <= O <= max V, and the weights sum to 1.

The check needs no reference and no tolerance beyond rounding, so it also runs on a device's output.
It sees a missing division, sums and accumulators that lost a rescale, and a sum kept in too few
bits. Sides, in emulated fp32: [min V - O, O - max V, |sum P - 1|] at most n rounding errors of the
values' size. Source: softmax weights are a probability distribution.
"""
import law
from law import INF, div, exp32, f16, f32, fault

EPS = 2.0 ** -23


def online(s, v, tile):
    m, l, o = -INF, 0.0, 0.0
    for lo in range(0, len(s), tile):
        part = s[lo:lo + tile]
        new = max([m] + part)
        back = exp32(f32(m - new))
        l = l if fault("l_not_rescaled") else f32(l * back)
        o = o if fault("o_not_rescaled") else f32(o * back)
        for j, x in enumerate(part):
            p = exp32(f32(x - new))
            if not (fault("l_misses_tail") and j > 0 and lo + j == len(s) - 1):
                l = f16(l + p) if fault("fp16_sum") else f32(l + p)
            o = f32(o + f32(p * v[lo + j]))
        m = new
    return m, l, o


def sides(case):
    s, v = case["s"], case["v"]
    m, l, o = online(s, v, case["tile"])
    out = o if fault("no_division") else f32(div(o, l))
    if fault("divides_by_count"):
        out = f32(o / len(s))
    weights = sum(div(exp32(f32(x - m)), l) for x in s)
    size = max(abs(x) for x in v)
    slack = (4 * len(s) + 8) * EPS
    return ([min(v) - out, out - max(v), abs(weights - 1)], [slack * size, slack * size, slack])


law.run(sides)
