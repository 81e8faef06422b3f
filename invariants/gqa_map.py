#!/usr/bin/env python3
"""Query head h reads key head h // (Hq / Hkv): onto, balanced, contiguous, inside its own batch.

Grouped-query attention shares a key head among Hq / Hkv neighbouring query heads. The kernel turns
(b, h) into an offset into K; a wrong divisor, a modulus instead of a quotient or the stride of the
query heads reads a valid address of the wrong head. Sides: how often each key head of each batch is
read, and the order in which heads read them. Source: GQA (Ainslie et al. 2023).
"""
import law
from law import fault


def key_head(b, h, hq, hkv):
    """Index of the key head among all batches, as the kernel computes it."""
    group = hq // hkv
    stride = hq if fault("stride_of_query_heads") else hkv
    if fault("modulus"):
        kv = h % hkv
    elif fault("divides_by_hkv"):
        kv = h // hkv
    elif fault("rounds_to_nearest"):
        kv = (h + group // 2) // group
    elif fault("one_based"):
        kv = (h + 1) // group
    elif fault("always_first"):
        kv = 0
    else:
        kv = h // group
    return b * stride + kv


def sides(case):
    batch, group, hkv = case["batch"], case["group"], case["hkv"]
    hq = group * hkv
    reads = [key_head(b, h, hq, hkv) for b in range(batch) for h in range(hq)]
    counts = [0] * (batch * hkv)
    for at in reads:
        if 0 <= at < len(counts):
            counts[at] += 1
    return [counts, reads], [[group] * (batch * hkv), sorted(reads)]


law.run(sides)
