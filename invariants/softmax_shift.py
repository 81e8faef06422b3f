#!/usr/bin/env python3
"""Adding one constant to every live score changes nothing but LSE, which moves by that constant.

This is why a kernel may subtract any maximum, fold a bias into the scale, and keep its state in any
scale: (m + d, l exp(-d), o exp(-d)) is the same state. It also catches a mask or a padding that is a
finite number in disguise, because such a number does not shift. Over GF(P): exact; exp(LSE) stands
for LSE. Source: the shift property of softmax.
"""
import law
from law import INF, P, fault, generic, gexp


def fold(scores, tile):
    m, l, o = -INF, 0, 0
    for lo in range(0, len(scores), tile):
        s = scores[lo:lo + tile]
        if fault("padding_is_zero"):
            s = s + [0] * (tile - len(s))
        new = max(m, max(s))
        if new == -INF:
            continue
        back = gexp(m - new)
        scale = 2 if fault("maximum_unscaled") else 1
        p = [gexp(scale * x - new) for x in s]
        l = (l * back + sum(p)) % P
        o = (o * back + sum(w * generic(lo + j) for j, w in enumerate(p))) % P
        m = new
    return m, l, o


def finish(m, l, o, d):
    """Output and exp(LSE) of a state that was moved to another scale by d."""
    if m == -INF or l == 0:
        return [0, 0]
    l_moved = l * (gexp(d) if fault("scale_moves_up") else gexp(-d)) % P
    if fault("epsilon_in_sum"):
        l_moved += 1
    o_moved = o * gexp(-d) % P
    lse = l_moved if fault("lse_without_m") else l_moved * gexp(m + d) % P
    return [o_moved * pow(l_moved, -1, P) % P, lse]


def sides(case):
    sentinel = -3 if fault("finite_mask") else -INF
    live, c = case["live"], case["c"]

    def scores(shift):
        return [x + shift if keep else sentinel for x, keep in zip(case["s"], live)]

    out, lse = finish(*fold(scores(0), case["tile"]), 0)
    return finish(*fold(scores(c), case["tile"]), case["d"]), [out, lse * gexp(c) % P]


law.run(sides)
