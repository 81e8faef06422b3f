#!/usr/bin/env python3
"""Merging partial softmax states (m, l, o) is a commutative monoid with identity (-inf, 0, 0).

A fused kernel folds tiles in loop order, a split kernel in tree order and a threaded one in any
order; they agree because the merge does not care. m is the running maximum, l the sum of
exp(s - m), o the sum of exp(s - m) v. Over GF(P) with exp a homomorphism the law is an exact
equality, without a tolerance that could hide a fault. Source: on-line softmax (Milakov and
Gimelshein 2018), FlashAttention (Dao et al. 2022).
"""
import law
from law import INF, P, fault, gexp


def weight(m, top):
    if top == -INF:
        return None if fault("no_empty_guard") else 0
    return gexp(m - top)


def merge(a, b):
    top = a[0] if fault("max_of_first") else max(a[0], b[0])
    wa, wb = weight(a[0], top), weight(b[0], top)
    if wa is None or wb is None:
        return [top, "nan", "nan"]
    ua = 1 if fault("o_not_rescaled") else wa
    if fault("l_not_rescaled"):
        wa = 1
    if fault("rescale_second_only"):
        wa, ua = 1, 1
    return [top, (a[1] * wa + b[1] * wb) % P, (a[2] * ua + b[2] * gexp(b[0] - top)) % P if top > -INF else 0]


def identity():
    if fault("identity_m_zero"):
        return [0, 0, 0]
    if fault("identity_sentinel"):
        return [-9, 0, 0]
    return [-INF, 0, 0]


def fold_left(a, b, c):
    ab = merge(a, b)
    return ab if "nan" in ab else merge(ab, c)


def fold_right(a, b, c):
    bc = merge(b, c)
    return bc if "nan" in bc else merge(a, bc)


def sides(case):
    states = [[m, 0, 0] if m == -INF else [m, l, o] for m, l, o in zip(case["m"], case["l"], case["o"])]
    a, b, c = states
    e = identity()
    return ([fold_left(a, b, c), merge(a, b), merge(a, e), merge(e, a)],
            [fold_right(a, b, c), merge(b, a), a, a])


law.run(sides)
