#!/usr/bin/env python3
"""The blocked loops multiply every (i, j, k) exactly once, whatever the sizes and the blocks.

Five loops (n by NC, k by KC, m by MC, then register panels NR and MR) and a split of the rows over
threads all round, and every one may lose or repeat a ragged edge. Sides: how often each element of
C was updated by each k, and once for all. Source: Goto and van de Geijn 2008; an early published
swizzle loses tiles in two thirds of small configurations.
"""
import law
from law import ceil_div, fault


def steps(total, step, drops_tail=False):
    if drops_tail:
        total = total // step * step
    return [(lo, min(step, total - lo)) for lo in range(0, total, step)]


def rows_of(thread, threads, m, mr):
    """Each thread takes whole panels of rows."""
    panels = m // mr if fault("thread_panels_floor") else ceil_div(m, mr)
    share = panels // threads if fault("thread_share_floor") else ceil_div(panels, threads)
    lo, hi = thread * share * mr, (thread + 1) * share * mr
    if fault("threads_overlap"):
        hi += 1
    return min(m, lo), min(m, hi)


def visits(case):
    m, n, k, mr, nr = case["m"], case["n"], case["k"], case["mr"], case["nr"]
    mc, nc, kc = case["mb"] * mr, case["nb"] * nr, case["kc"]
    count = [0] * (m * n * k)
    for thread in range(case["threads"]):
        first, last = rows_of(thread, case["threads"], m, mr)
        for jc, nlen in steps(n, nc):
            for pc, klen in steps(k, kc, fault("k_tail_dropped")):
                for ic, mlen in steps(last - first, mc):
                    for jr, jlen in steps(nlen, nr, fault("n_tail_dropped")):
                        for ir, ilen in steps(mlen, mr, fault("m_tail_dropped")):
                            row, col = first + ic + ir, jc + jr
                            if fault("panel_of_first_block"):
                                row = first + ir
                            for i in range(row, row + ilen):
                                for j in range(col, col + jlen):
                                    for p in range(pc, pc + klen):
                                        count[(i * n + j) * k + p] += 1
    return count


def sides(case):
    return visits(case), [1] * (case["m"] * case["n"] * case["k"])


law.run(sides)
