#!/usr/bin/env python3
"""The swizzled addresses that kernels compute are those of the copy engine, a bijection, and free of
bank conflicts.

The copy engine's 128-byte swizzle exclusive-ors address bits 4 to 6 with bits 7 to 9. Kernels
compute the same place from row and chunk, to stage C or O for a store and to read K and V; slices
with rows of 64 bytes have a permutation of their own. A matrix instruction moves 8 rows of 16 bytes
a phase, and is free of conflicts if they meet 32 different banks. Sides: the tile's places by the
kernel's formula and, of every phase that is used, the banks met; the places by the engine's rule (for
64-byte rows: all of the slice), and 32 each time. Source: swizzle modes of PTX tensor maps;
ldmatrix and stmatrix.
"""
import law
from law import fault


def atom(address):
    """What the copy engine does to an address in a tile that is 1024 bytes aligned."""
    return address ^ ((address >> 7 & 7) << 4)


def place_wide(row, chunk, width):
    """Rows of `width` chunks, eight at least; the chunk is permuted by the row."""
    mask = 3 if fault("mask_too_narrow") else 7
    turn = 0 if fault("not_swizzled") else row >> 1 & mask if fault("row_halved") else row & mask
    if fault("or_for_xor"):
        return row * width * 16 + (chunk | turn) * 16
    return row * width * 16 + (chunk ^ turn) * 16


def place_narrow(row, chunk):
    """Rows of four chunks; two rows fill the banks, so the chunk is permuted by the pair."""
    turn = row & 3 if fault("pair_not_halved") else row >> 1 & 3
    return row * 64 + (chunk ^ turn) * 16


def banks(addresses):
    return len({address // 4 % 32 + word for address in addresses for word in range(4)})


def phases(rows, chunks, step):
    """The matrices that one instruction after another moves: 8 rows of one chunk each."""
    for first in range(0, rows, 8):
        for chunk in range(0, chunks, step):
            yield [(first + i, chunk) for i in range(8)]


def sides(case):
    rows, kind = case["rows"] * 8, case["kind"]
    if kind == "slice":
        chunks, place = 4, place_narrow
    elif kind == "staged":
        chunks, place = 8, lambda r, c: place_wide(r, c, 8)
    else:
        chunks = case["width"] * 8
        place = lambda r, c: place_wide(r, c, chunks)
    places = [place(r, c) for r in range(rows) for c in range(chunks)]
    met = [banks([place(r, c) for r, c in phase]) for phase in phases(rows, chunks, 1)]
    if kind == "staged":
        want = [atom(r * 128 + c * 16) for r in range(rows) for c in range(chunks)]
    else:
        places = sorted(places)
        want = [i * 16 for i in range(rows * chunks)]
    return [places, met], [want, [32] * len(met)]


law.run(sides)
