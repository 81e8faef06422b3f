#!/usr/bin/env python3
"""A maximum that is allowed to be stale by b bits gives the same output and LSE, with weights at most 2^b.

The lazy variant takes weights from scores while they are in registers, under the maximum so far;
only a score more than b above it makes a lane take a new maximum, and then everything summed so
far must shrink: l, o, and the weights of this tile that were not yet multiplied with V. Lanes that
share a vector are lifted together. Over GF(P) with 2^x as the homomorphism: exact. The last part
of each side is by how much any exponent exceeded b. Source: conditional rescaling, FlashAttention-4.
"""
import law
from law import INF, P, fault, generic, gexp

LOW = -1000  # stands for -FLT_MAX: below every score, and not -inf


def weight(x):
    return 0 if x < LOW // 2 else gexp(x)


class Lane:
    def __init__(self):
        self.m, self.l, self.o = LOW, 0, 0
        self.tile = []  # weights of this tile, not yet multiplied with V
        self.excess = 0

    def lift(self, top):
        """Take a maximum of at least `top`; what was summed before shrinks."""
        new = top if fault("maximum_may_fall") else max(self.m, top)
        shrink = weight(self.m - new)
        self.m = new
        if not fault("sum_not_shrunk"):
            self.l = self.l * shrink % P
        if not fault("output_not_shrunk"):
            self.o = self.o * shrink % P
        if not fault("tile_not_shrunk"):
            self.tile = [w * shrink % P for w in self.tile]

    def take(self, s, bits):
        for x in s:
            if x > -INF:
                self.excess = max(self.excess, x - self.m - bits)
            w = 0 if x == -INF else weight(x - self.m)
            self.l = (self.l + w) % P
            self.tile.append(w)

    def flush(self, lo):
        self.o = (self.o + sum(w * generic(lo + j) for j, w in enumerate(self.tile))) % P
        self.tile = []


def run(rows, tile, group, bits):
    lanes = [Lane() for _ in rows]
    n = len(rows[0])
    for t in range(0, n, tile):
        end = min(n, t + tile)
        for g in range(t, end, group):
            parts = [s[g:min(end, g + group)] for s in rows]
            tops = [max(p) for p in parts]
            if not fault("never_lifts") and any(
                    top > lane.m + bits for top, lane in zip(tops, lanes)):
                for top, lane in zip(tops, lanes):
                    lane.lift(max(top, LOW))
            for lane, part in zip(lanes, parts):
                lane.take(part, bits)
        for lane in lanes:
            lane.flush(t)
    return lanes


def finish(m, l, o):
    """Output and exp(LSE)."""
    if l == 0:
        return [0, 0]
    lse = l if fault("lse_without_m") else l * gexp(m) % P
    return [o * pow(l, -1, P) % P, lse]


def reference(s):
    p = [gexp(x) for x in s]
    l, o = sum(p) % P, sum(w * generic(j) for j, w in enumerate(p)) % P
    return [o * pow(l, -1, P) % P if l else 0, l]


def sides(case):
    n, s = case["n"], case["s"]
    rows = [s[:n], s[n:]]
    lanes = run(rows, case["tile"], case["group"], case["bits"])
    return ([finish(lane.m, lane.l, lane.o) + [max(0, lane.excess)] for lane in lanes],
            [reference(row) + [0] for row in rows])


law.run(sides)
