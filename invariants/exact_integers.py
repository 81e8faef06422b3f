#!/usr/bin/env python3
"""Integer inputs with K max|a| max|b| <= 2^24 give the exact product in fp32, bit for bit.

Every partial sum is then an integer that fp32 holds, in any order and any blocking, so the kernel
has no rounding to hide behind: one wrong bit is a fault. The same inputs expose a narrower type,
which loses integers at 2^8 (bf16), 2^11 (tf32, fp16) or overflows at 65504. Source: the precision
detector of the Bailey and Higham school; 24-bit significand of IEEE 754 binary32.
"""
import math

import law
from law import bf16, ceil_div, f16, f32, fault


def tf32(x):
    """x with the 11 significant bits of tf32."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(round(mantissa * 2048), exponent - 11)


def narrow(x):
    if fault("bf16_inputs"):
        return bf16(x)
    if fault("tf32_inputs"):
        return tf32(x)
    return float(x)


def dot(a, b, kc):
    total = 0.0
    blocks = ceil_div(len(a), kc)
    for t in range(blocks):
        acc = 0.0
        for x, y in zip(a[t * kc:(t + 1) * kc], b[t * kc:(t + 1) * kc]):
            if fault("fp16_product"):
                acc = f32(acc + f16(narrow(x) * narrow(y)))
            elif fault("fp16_accumulator"):
                acc = f16(acc + narrow(x) * narrow(y))
            else:
                acc = f32(acc + narrow(x) * narrow(y))
        total = f16(total + acc) if fault("fp16_spill") else f32(total + acc)
        if fault("k_blocks_overwrite"):
            total = acc
    return total


def sides(case):
    a, b = case["a"], case["b"]
    if len(a) * max(map(abs, a)) * max(map(abs, b)) > 1 << 24:
        law.skip("K max|a| max|b| exceeds 2^24")
    return dot(a, b, case["kc"]), float(sum(x * y for x, y in zip(a, b)))


law.run(sides)
