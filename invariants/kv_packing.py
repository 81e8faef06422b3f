#!/usr/bin/env python3
"""Keys and values packed for broadcast keep every element, once, where the vector core reads it.

Keys go in groups of `rows` keys, [group][element][row], then the keys left over one by one; values in
tiles of keys, in each groups of `rows` elements, [group][key][row], then the elements left over.
K and V lie strided among the heads. The packer walks memory, the reader computes an index: two
formulas that must be one bijection. Elements are their own addresses. Source: the packed order of the
vectorised variants.
"""
import law
from law import fault


def interleave(out, at, src, outer, inner, n, rows):
    """out[at + i * rows + r] = src + r * outer + i * inner, for n steps i."""
    for i in range(n):
        for r in range(rows):
            where = at + (r * n + i if fault("group_row_major") else i * rows + r)
            if where < len(out):
                out[where] = src + r * outer + i * inner


def pack(case, j0, k, v):
    d, rows, skv = case["d"], case["rows"], case["skv"]
    pitch = d if fault("pitch_of_one_head") else case["hkv"] * d
    n, base = min(case["tile"], skv - j0), j0 * pitch + case["h"] * d
    j = c = 0
    while j + rows <= n:
        interleave(k, (j0 + j) * d, base + j * pitch, pitch, 1, d, rows)
        j += rows
    while j < n and not fault("leftover_keys_dropped"):
        interleave(k, (j0 + j) * d, base + j * pitch, pitch, 1, d, 1)
        j += 1
    whole = case["tile"] if fault("last_tile_taken_for_whole") else n
    while c + rows <= d:
        interleave(v, j0 * d + c * whole, base + c, 1, pitch, n, rows)
        c += rows
    while c < d and not fault("leftover_elements_dropped"):
        interleave(v, j0 * d + c * whole, base + c, 1, pitch, n, 1)
        c += 1


def key_at(case, j, c):
    """Where the reader looks for element c of key j."""
    d, rows, t0 = case["d"], case["rows"], j // case["tile"] * case["tile"]
    n, x = min(case["tile"], case["skv"] - t0), j - t0
    if x < n // rows * rows:
        return (t0 + x // rows * rows) * d + c * rows + x % rows
    return j * d + c


def value_at(case, j, c):
    d, rows, t0 = case["d"], case["rows"], j // case["tile"] * case["tile"]
    n = min(case["tile"], case["skv"] - t0)
    if c < d // rows * rows:
        return t0 * d + c // rows * rows * n + (j - t0) * rows + c % rows
    return t0 * d + c * n + j - t0


def sides(case):
    skv, d, hkv = case["skv"], case["d"], case["hkv"]
    case["h"] = min(case["h"], hkv - 1)
    k, v = [None] * (skv * d), [None] * (skv * d)
    for j0 in range(0, skv, case["tile"]):
        pack(case, j0, k, v)
    pairs = [(j, c) for j in range(skv) for c in range(d)]
    want = [(j * hkv + case["h"]) * d + c for j, c in pairs]
    lhs = [[k[key_at(case, j, c)] for j, c in pairs], [v[value_at(case, j, c)] for j, c in pairs]]
    return lhs + [sorted(x for x in k if x is not None)], [want, want, want]


law.run(sides)
