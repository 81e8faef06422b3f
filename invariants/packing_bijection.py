#!/usr/bin/env python3
"""Packing puts each element of a block exactly where the micro-kernel reads it, once, padded with zeros.

A is packed in panels of MR rows and B in panels of NR columns, so that the micro-kernel streams
both; the last panel is padded with zeros so that it needs no special case. Packer and reader are
separate code that must agree on one index formula. Elements are their own addresses here, so a
bijection shows as equality. Source: Goto and van de Geijn 2008, figure 8.
"""
import law
from law import ceil_div, fault


def pack_a(m, k, r, i0, k0, mc, kc, lda):
    """Pack the block A[i0:i0+mc, k0:k0+kc] in panels of r rows; elements are 1 + their address."""
    buf = []
    panels = mc // r if fault("ragged_panel_dropped") else ceil_div(mc, r)
    for panel in range(panels):
        for p in range(kc):
            for x in range(r):
                i = panel * r + x
                if i >= mc and not fault("padding_reads_on"):
                    if not fault("padding_skipped"):
                        buf.append(0)
                    continue
                row, col = i0 + i, k0 + p
                if fault("block_offset_lost"):
                    row = i
                stride = k if fault("stride_is_k") else lda
                buf.append(1 + row * stride + col)
    if fault("transposed_panel"):
        buf = [buf[q * r * kc + x * kc + p] for q in range(len(buf) // (r * kc))
               for p in range(kc) for x in range(r)]
    return buf


def read(buf, i, p, r, kc):
    """What the micro-kernel takes for row i, step p."""
    panel, x = divmod(i, r)
    at = panel * r * kc + p * r + x
    return buf[at] if at < len(buf) else "outside"


def sides(case):
    m, k, r = case["m"], case["k"], case["r"]
    lda = k + case["pad"]
    i0, k0 = min(case["i0"], m - 1), min(case["k0"], k - 1)
    mc, kc = min(case["mc"], m - i0), min(case["kc"], k - k0)
    buf = pack_a(m, k, r, i0, k0, mc, kc, lda)
    whole = ceil_div(mc, r) * r
    want = [1 + (i0 + i) * lda + k0 + p if i < mc else 0 for i in range(whole) for p in range(kc)]
    return ([[read(buf, i, p, r, kc) for i in range(whole) for p in range(kc)], len(buf)],
            [want, whole * kc])


law.run(sides)
