#!/usr/bin/env python3
"""The epilogue stores every element of C once, as alpha AB + beta C, and nothing outside it.

C is a window of a larger array (ldc >= n). Register tiles at the right and bottom edge are partial,
stores are vectors of w, and beta applies once although k comes in blocks. Sides: the whole array
after the stores, its margin included, with the number of times each cell was written by the first
k-block, and what they must be. Source: the predicated epilogue of every blocked kernel.
"""
import law
from law import fault

MARGIN = -7


def store_row(memory, writes, row, lo, hi, case, value, first_block):
    n, ld, w = case["n"], case["n"] + case["pad"], case["w"]
    stride = n if fault("stride_is_n") else ld
    j = lo
    while j < hi:
        lanes = w if j + w <= hi or fault("vector_tail_unguarded") else hi - j
        if lanes < w and fault("vector_tail_skipped"):
            return
        for x in range(j, j + lanes):
            at = row * stride + x
            if at >= len(memory):
                continue
            beta = case["beta"] if first_block or fault("beta_every_block") else 1
            memory[at] = value(row, x) + (0 if fault("beta_ignored") else beta * memory[at])
            writes[at] += first_block
        j += lanes


def stores(case, value):
    m, n, mr, nr = case["m"], case["n"], case["mr"], case["nr"]
    ld = n + case["pad"]
    memory = [MARGIN] * ((m + mr) * ld + case["w"])
    for i in range(m):
        memory[i * ld:i * ld + n] = [10 * i + j for j in range(n)]
    start, writes = list(memory), [0] * len(memory)
    for block in range(case["blocks"]):
        for i0 in range(0, m, mr):
            for j0 in range(0, n, nr):
                last = i0 + mr if fault("row_unguarded") else min(m, i0 + mr)
                for i in range(i0, last):
                    hi = min(n, j0 + nr) - (1 if fault("column_short") and j0 + nr > n else 0)
                    store_row(memory, writes, i, j0, hi, case, value, block == 0)
    return start, memory, writes


def sides(case):
    m, n, ld = case["m"], case["n"], case["n"] + case["pad"]
    value = lambda i, j: case["alpha"] * (3 * i + 5 * j + 1)
    start, memory, writes = stores(case, value)
    want, once = list(start), [0] * len(start)
    for i in range(m):
        for j in range(n):
            want[i * ld + j] = case["blocks"] * value(i, j) + case["beta"] * start[i * ld + j]
            once[i * ld + j] = 1
    return [memory, writes], [want, once]


law.run(sides)
