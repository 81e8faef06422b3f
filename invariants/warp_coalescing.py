#!/usr/bin/env python3
"""Rows of 64 elements that a warp stores by itself are written once, aligned, in few sectors.

Where the rows of C are not a multiple of 16 bytes apart, they start at any even address. A lane
stores two neighbours where that pair is aligned, shifted by one element on odd rows, and the
elements at the two ends are stored alone; the last tile of a row is cut. Sides: the elements written
with their values, misaligned requests, and by how much a request exceeds five sectors of 32 bytes;
and every live element once, none, none. Source: global memory transactions of the CUDA guide.
"""
import law
from law import fault

WIDTH, LANES, SECTOR = 64, 32, 32


def requests(first, columns):
    """What a warp stores for a run that begins at element `first` of C: lists of (element, count,
    source), one a request."""
    odd = 0 if fault("parity_ignored") else first & 1
    end = columns if fault("width_not_clamped") else min(columns, WIDTH)
    pairs, tail = [], []
    for lane in range(LANES):
        i = lane * 2 + odd
        if fault("lanes_stride_rows"):
            i = lane + odd
        if i + 1 < end or (fault("pair_crosses_the_end") and i < end):
            pairs.append((first + i, 2, i))
        elif i < end and not fault("single_at_the_end_dropped"):
            tail.append((first + i, 1, i))
    head = [(first, 1, 0)] if odd and not fault("head_dropped") else []
    return [r for r in (pairs, tail, head) if r]


def direct(first, columns):
    """The plain way: a lane writes the two neighbours that its registers hold, one by one."""
    return [[(first + j * 8 + l * 2 + e, 1, j * 8 + l * 2 + e) for l in range(4)
             if j * 8 + l * 2 + e < min(columns, WIDTH)] for j in range(8) for e in range(2)]


def walk(runs, limit):
    written, misaligned, excess = [], 0, 0
    for run in runs:
        for request in run:
            misaligned += sum(at % count for at, count, _ in request)
            sectors = {(at + k) * 2 // SECTOR for at, count, _ in request for k in range(count)}
            excess += max(0, len(sectors) - limit)
            written += [[at + k, source + k] for at, count, source in request for k in range(count)]
    return [sorted(written), misaligned, excess]


def sides(case):
    n, rows, column = case["n"], case["rows"], case["tile"] * WIDTH
    if column >= n:
        law.skip("the tile lies past the last column")
    stride = n if not fault("stride_rounded_up") else (n + 7) // 8 * 8
    starts = [r * stride + column for r in range(rows)]
    lhs = walk([requests(at, n - column) for at in starts], 5)
    plain = walk([direct(r * n + column, n - column) for r in range(rows)], 8)
    want = sorted([r * n + column + i, i] for r in range(rows) for i in range(min(WIDTH, n - column)))
    return [lhs, plain], [[want, 0, 0], [want, 0, 0]]


law.run(sides)
