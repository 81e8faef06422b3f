#!/usr/bin/env python3
"""The boxes that fill a stage cover it once, bring the bytes that were announced, and bring what the
products read.

A stage holds a tile of A and one of B. A is one box of 64 columns; B is one box, or, across K, one
for each 64 columns, or in a cluster one part from each block, which every block gets. Elements
outside the arrays arrive as zeros and count as bytes. A box is at most 256 rows of one swizzle row.
Rows stand for whole rows of 64 elements here. Sides: for each block of the cluster the bytes that
land less those announced, how often each row of the stage is written, and the row of the array that
lies there, -1 outside; and 0, once, and the rows that belong there. Source: cp.async.bulk.tensor
and its multicast in PTX.
"""
import law
from law import fault

ROW_BYTES, DEPTH = 128, 64


def boxes_of_b(case, rank):
    """(first row in the stage, first row of the box in B, rows, blocks that get it)."""
    rows, cluster = case["block_n"], case["cluster"]
    everyone = list(range(cluster))
    if case["across"]:
        groups = rows // 64
        mine = groups // cluster if not fault("every_block_loads_all") else groups
        first = rank * mine if not fault("every_block_loads_all") else 0
        if fault("last_group_forgotten"):
            mine -= 1
        return [((first + g) * DEPTH, (first + g, case["k"]), DEPTH, everyone) for g in range(mine)]
    part = rows if fault("every_block_loads_all") else rows // cluster
    at = 0 if fault("parts_overlap") else rank * part if part < rows else 0
    source = rank * part if part < rows else 0
    to = [rank] if fault("not_multicast") else everyone
    return [(at, source, part, to)]


def b_row(case, box, i):
    """What row `i` of a box of B is: a row of B, or with `across` (row along K, group of columns)."""
    if case["across"]:
        group, k = box[1]
        row, column = k * DEPTH + i, case["column"] + group * 64
        return [row, column] if row < case["K"] and column < case["N"] else -1
    row = case["column"] + box[1] + i
    return row if row < case["N"] else -1


def stage(case):
    """What each block finds in its stage."""
    block_m, block_n, cluster = case["block_m"], case["block_n"], case["cluster"]
    rows_of_b = block_n // 64 * DEPTH if case["across"] else block_n
    found = [{"bytes": 0, "times": [0] * (block_m + rows_of_b), "rows": [None] * (block_m + rows_of_b)}
             for _ in range(cluster)]
    for rank in range(cluster):
        first = case["row"] + (0 if fault("rank_ignored") else rank * block_m)
        if block_m > 256:
            law.skip("a box has at most 256 rows")
        boxes = [(i, first + i if first + i < case["M"] else -1, [rank]) for i in range(block_m)]
        for box in boxes_of_b(case, rank):
            if box[2] > 256:
                law.skip("a box has at most 256 rows")
            boxes += [(block_m + box[0] + i, b_row(case, box, i), box[3]) for i in range(box[2])]
        for at, content, to in boxes:
            for block in to:
                found[block]["bytes"] += 0 if content == -1 and fault("padding_not_counted") else ROW_BYTES
                found[block]["times"][at] += 1
                found[block]["rows"][at] = content
    return found


def sides(case):
    cluster, block_m, block_n = case["cluster"], case["block_m"], case["block_n"]
    if block_n % ((64 if case["across"] else 8) * cluster):
        law.skip("blocks share whole boxes of B")
    case["row"], case["column"] = case["tile_m"] * block_m * cluster, case["tile_n"] * block_n
    announced = (block_m + block_n) * DEPTH * 2
    if fault("own_part_announced"):
        announced = (block_m + block_n // cluster) * DEPTH * 2
    lhs, rhs = [], []
    for rank, got in enumerate(stage(case)):
        lhs.append([got["bytes"] - announced, got["times"], got["rows"]])
        first = case["row"] + rank * block_m
        rows = [r if r < case["M"] else -1 for r in range(first, first + block_m)]
        if case["across"]:
            for column in range(case["column"], case["column"] + block_n, 64):
                rows += [[r, column] if r < case["K"] and column < case["N"] else -1
                         for r in range(case["k"] * DEPTH, (case["k"] + 1) * DEPTH)]
        else:
            rows += [r if r < case["N"] else -1 for r in range(case["column"], case["column"] + block_n)]
        rhs.append([0, [1] * len(rows), rows])
    return lhs, rhs


law.run(sides)
