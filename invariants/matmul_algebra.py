#!/usr/bin/env python3
"""Bilinear, (AB)' = B'A', blocks multiply as elements do, and I and permutations do what they must.

These laws need no reference product: they hold or fail on the outputs alone, so they also judge a
device. Each sees what the others cannot: linearity holds for the zero function, the identity law
does not; the transpose law sees row and column exchanged. Packed kernel with MR = NR = 2, KC = 2, over
the integers: exact. Source: metamorphic relations of the matrix product.
"""
import law
from law import fault

MR = NR = KC = 2


def pack_a(a, m, k, p0, klen):
    """Panels of MR rows, k inside: the micro-kernel reads them in order."""
    buf = []
    for i0 in range(0, m, MR):
        for p in range(p0, p0 + klen):
            buf += [a[i][p] if i < m else 0 for i in range(i0, i0 + MR)]
    return buf


def gemm(a, b):
    m, k, n = len(a), len(b), len(b[0])
    c = [[0] * n for _ in range(m)]
    last = k // KC * KC if fault("k_tail_dropped") and k > KC else k
    for p0 in range(0, last, KC):
        klen = min(KC, k - p0)
        panels = pack_a(a, m, k, p0, klen)
        acc = [[0] * NR for _ in range(MR)]
        for i0 in range(0, m, MR):
            for j0 in range(0, n, NR):
                if not fault("registers_not_cleared"):
                    acc = [[0] * NR for _ in range(MR)]
                micro(acc, panels[i0 * klen:], b, p0, klen, j0, n)
                store(c, acc, i0, j0, m, n, p0)
    return c


def micro(acc, panel, b, p0, klen, j0, n):
    for p in range(klen):
        for r in range(MR):
            for q in range(NR):
                if j0 + q < n:
                    acc[r][q] += panel[p * MR + r] * b[p0 + p][j0 + q]
    if fault("registers_transposed"):
        acc[0][1], acc[1][0] = acc[1][0], acc[0][1]
    if fault("saturates"):
        for row in acc:
            row[:] = [min(x, 40) for x in row]


def store(c, acc, i0, j0, m, n, p0):
    rows = m - 1 if fault("last_row_unwritten") and m > 1 else m
    for i in range(i0, min(rows, i0 + MR)):
        for j in range(j0, min(n, j0 + NR)):
            old = 0 if fault("k_blocks_overwrite") else c[i][j]
            c[i][j] = old + acc[i - i0][j - j0]


def transpose(x):
    return [list(col) for col in zip(*x)]


def matrix(values, rows, cols):
    return [values[i * cols:(i + 1) * cols] for i in range(rows)]


def add(x, y, factor=1):
    return [[p + factor * q for p, q in zip(r, s)] for r, s in zip(x, y)]


def sides(case):
    m, n, k, h = case["m"], case["n"], case["k"], case["cut"]
    a, a2 = matrix(case["a"], m, k), matrix(case["a2"], m, k)
    b = matrix(case["b"], k, n)
    ab = gemm(a, b)
    eye = [[int(i == j) for j in range(k)] for i in range(k)]
    turn = eye[1:] + eye[:1]
    lhs = [gemm(add(a, a2, case["c"]), b), transpose(ab), gemm(eye, b), gemm(turn, b), ab]
    rhs = [add(ab, gemm(a2, b), case["c"]), gemm(transpose(b), transpose(a)), b, b[1:] + b[:1], ab]
    if 0 < h < k:
        rhs[4] = add(gemm([r[:h] for r in a], b[:h]), gemm([r[h:] for r in a], b[h:]))
    return lhs, rhs


law.run(sides)
