#!/usr/bin/env python3
"""A remapping of tiles or of memory words is a bijection onto its range.

Grouped rasterisation walks tiles in bands of rows so that neighbours share panels in cache; the
XOR swizzle permutes the chunks of a row so that a column of them falls into different banks. Both
are index arithmetic that stays plausible when it is wrong: one tile computed twice, another never.
Sides: the sorted images, and the range. Source: CUTLASS and Triton tutorials; shared-memory XOR
swizzle as in PTX's 128-byte mode.
"""
import law
from law import fault


def raster(t, rows, cols, band):
    """Tile (row, column) of the t-th step when rows are walked in bands."""
    group = t // (band * cols)
    first = group * band
    height = band if fault("last_band_not_clamped") else min(band, rows - first)
    inside = t if fault("offset_in_band_lost") else t % (band * cols)
    if fault("row_stride"):
        return first + inside // height, inside % cols
    if fault("band_is_rounded"):
        first = t // max(1, height * cols) * height
    return first + inside % height, inside // height


def swizzle(row, chunk, bits):
    chunks = 1 << bits
    mask = chunks - 1
    if fault("xor_unmasked"):
        mask = 2 * chunks - 1
    if fault("or_for_xor"):
        return row, chunk | (row & mask)
    if fault("add_without_wrap"):
        return row, chunk + (row & mask)
    return row, chunk ^ (row & mask)


def sides(case):
    rows, cols, bits = case["rows"], case["cols"], case["bits"]
    tiles = [list(raster(t, rows, cols, case["band"])) for t in range(rows * cols)]
    words = [list(swizzle(r, c, bits)) for r in range(rows) for c in range(1 << bits)]
    return ([sorted(tiles), sorted(words)],
            [[[r, c] for r in range(rows) for c in range(cols)],
             [[r, c] for r in range(rows) for c in range(1 << bits)]])


law.run(sides)
