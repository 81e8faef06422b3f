#!/usr/bin/env python3
"""The formulas that decide whether a variant fits a multiprocessor agree with laying it out.

Shared memory is laid out member by member with the alignment of swizzled tiles; registers are a pool
that a block is given in equal shares at its start, of which warpgroups that only copy give back and
those that multiply take, once there are enough. Sides: the end of the layout, whether every
warpgroup gets its registers, and whether a consumer holds its sums; and the formulas that decide
before anything is compiled. Source: the tuning guide for compute capability 9.0; setmaxnreg of PTX.
"""
import law
from law import fault

SHARED_BYTES, REGISTERS, LARGEST = 232448, 65536, 255
ADDRESSING = 16  # registers of a consumer beside its sums, at the least


def layout(case):
    """The end of shared memory, rounded as the structure's alignment rounds it."""
    at = 0
    for member in ("a", "b", "c", "bars"):
        if member == "c":
            copies = {"copy": 2, "gather": 1, "plain": 0}[case["store"]]
            if fault("one_staging_buffer"):
                copies = min(copies, 1)
            size, align = case["consumers"] * copies * 64 * 64 * 2, 1024
            if fault("staging_forgotten"):
                size = 0
        elif member == "bars":
            size, align = 0 if fault("barriers_forgotten") else 16 * case["stages"], 8
        else:
            rows = case["block_" + {"a": "m", "b": "n"}[member]]
            size, align = case["stages"] * rows * 128, 1024
        at = law.ceil_div(at, align) * align + size
    return at if fault("end_not_rounded") else law.ceil_div(at, 1024) * 1024


def share(case):
    """Registers of a thread when the block starts."""
    threads = 128 * (case["consumers"] + (0 if fault("producer_not_counted") else 1))
    return min(LARGEST, REGISTERS // threads) // 8 * 8


def registers_met(case):
    """Warpgroups change their shares in any order; a taker waits until the pool holds enough."""
    start = share(case)
    pool, takers = 0, [case["take"]] * case["consumers"]
    if not fault("nobody_releases"):
        if case["release"] > start:
            return False
        pool += start - case["release"]
    progress = True
    while takers and progress:
        progress = False
        for want in list(takers):
            need = want if fault("share_lost_on_take") else want - start
            if 0 <= need <= pool:
                takers.remove(want)
                pool -= need
                progress = True
    return not takers


def sums_fit(case):
    held = case["block_m"] * case["block_n"] // (128 * case["consumers"])
    if fault("sums_of_one_product"):
        held = case["block_n"] // 2
    return held + ADDRESSING <= case["take"]


def sides(case):
    m, n, stages, consumers = case["block_m"], case["block_n"], case["stages"], case["consumers"]
    if m % (64 * consumers):
        law.skip("a consumer owns whole products of 64 rows")
    end = layout(case)
    staging = {"copy": 16384, "gather": 8192, "plain": 0}[case["store"]] * consumers
    bytes_needed = (stages * ((m + n) * 128 + 16) + staging + 1023) // 1024 * 1024
    start = min(LARGEST, REGISTERS // (128 * (consumers + 1))) // 8 * 8
    registers = (case["release"] <= start <= case["take"]
                 and case["release"] + consumers * case["take"] <= (consumers + 1) * start)
    sums = m * n // (128 * consumers) + 16 <= case["take"]
    return ([end, end <= SHARED_BYTES, registers_met(case), sums_fit(case)],
            [bytes_needed, bytes_needed <= SHARED_BYTES, registers, sums])


law.run(sides)
