#!/usr/bin/env python3
"""Splitting k over workers and adding the partial products gives A (B r) for every vector r.

Split-K and the k-blocks of a packed kernel both add partial sums of C. Freivalds' check compares
C r with A (B r): over GF(P) with random r a wrong C passes with probability 1/P, and no second
matrix product is needed. Source: Freivalds 1977; Stream-K (Osama et al. 2023).
"""
import law
from law import P, ceil_div, fault


def ranges(k, workers):
    size = k // workers if fault("share_floor") and k >= workers else ceil_div(k, workers)
    for w in range(workers):
        lo, hi = min(k, w * size), min(k, (w + 1) * size)
        if fault("ranges_overlap"):
            hi = min(k, hi + 1)
        if lo < hi:
            yield lo, hi


def product(a, b, m, n, k, workers):
    c = [0] * (m * n)
    for lo, hi in ranges(k, workers):
        for i in range(m):
            for j in range(n):
                s = sum(a[i * k + p] * b[p * n + j] for p in range(lo, hi))
                if fault("partial_overwrites"):
                    c[i * n + j] = 0
                if fault("first_partial_twice") and lo == 0:
                    s *= 2
                c[i * n + j] = (c[i * n + j] + s) % P
    if fault("fixup_drops_last_row") and workers > 1 and m > 1:
        c[(m - 1) * n:] = [0] * n
    return c


def apply(matrix, rows, cols, x):
    return [sum(matrix[i * cols + j] * x[j] for j in range(cols)) % P for i in range(rows)]


def sides(case):
    m, n, k, a, b, r = (case[x] for x in ("m", "n", "k", "a", "b", "r"))
    c = product(a, b, m, n, k, case["workers"])
    return apply(c, m, n, r), apply(a, m, k, apply(b, k, n, r))


law.run(sides)
