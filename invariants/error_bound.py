#!/usr/bin/env python3
"""|c - c*| <= gamma_K |a| |b|, with gamma of the accumulator's type and the depth of the sum.

c* is exact (rationals). The bound is relative to |a| |b|, not to c, so cancellation is allowed and
nothing else is: fp32 with blocks of k has depth kc + K / kc, a narrower accumulator a hundredfold
gamma. Sides: the error, and the bound rounded up. Source: Higham, Accuracy and Stability, section
3.1 and theorem 4.2.
"""
import math
from fractions import Fraction

import law
from law import bf16, ceil_div, f16, f32, fault

UNIT = Fraction(1, 1 << 24)


def dot(a, b, kc):
    total = 0.0
    blocks = len(a) // kc if fault("k_tail_dropped") and len(a) > kc else ceil_div(len(a), kc)
    for t in range(blocks):
        acc = 0.0
        for x, y in zip(a[t * kc:(t + 1) * kc], b[t * kc:(t + 1) * kc]):
            if fault("bf16_inputs"):
                x, y = bf16(x), bf16(y)
            product = f16(x * y) if fault("fp16_product") else f32(x * y)
            acc = f16(acc + product) if fault("fp16_accumulator") else f32(acc + product)
        total = f16(total + acc) if fault("fp16_spill") else f32(total + acc)
    return total


def sides(case):
    a, b, kc = case["a"], case["b"], case["kc"]
    exact = sum(Fraction(x) * Fraction(y) for x, y in zip(a, b))
    size = sum(abs(Fraction(x) * Fraction(y)) for x, y in zip(a, b))
    depth = 1 + min(kc, len(a)) + ceil_div(len(a), kc)
    gamma = depth * UNIT / (1 - depth * UNIT)
    result = dot(a, b, kc)
    error = abs(Fraction(result) - exact) if math.isfinite(result) else math.inf
    smallest = Fraction(2) ** -149 * len(a)
    return float(error), float((gamma * size + smallest) * (1 + Fraction(1, 1 << 50)))


law.run(sides)
