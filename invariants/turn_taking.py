#!/usr/bin/env python3
"""Two consumers that take turns by named barriers alternate strictly, end, and leave the barriers
as they found them.

A named barrier completes when both groups have come, whether they wait or only arrive; one that is
left half full makes the next kernel that uses it, or the next round, go on alone. Two schemes: a
turn a tile of keys, where the first turn is given by its owner and the one left over is taken at the
end (`given`); a turn a tile of C, where a turn is handed on exactly if there is a next one
(`counted`). All interleavings are walked. Sides: the orders of turns that can happen with what is
left in the barriers, and strict alternation with nothing left. Source: the ping-pong schedules of
FlashAttention-3 and CUTLASS.
"""
import law
from law import fault


def given(counts, me):
    """Attention: every step of every tile is a turn; tiles without keys take none."""
    out = [("arrive", 0)] if me == 0 and not fault("first_turn_not_given") else []
    for count in counts:
        if count == 0 and me == 1 and fault("empty_tile_takes_a_turn"):
            count = 1
        for _ in range(count):
            out.append(("sync", 0 if fault("one_barrier_for_both") else me))
            out.append(("turn", me))
            out.append(("arrive", me if fault("handed_to_itself") else me ^ 1))
    if me == 0 and not fault("left_over_not_taken"):
        out.append(("sync", 0))
    return out


def counted(counts, me):
    """The matrix product: a turn is a tile; the tiles are dealt alternately."""
    out, tiles = [], len(counts)
    for turn in range(tiles):
        if turn % 2 != me:
            continue
        if turn > 0 or fault("first_turn_awaited"):
            out.append(("sync", me))
        out.append(("turn", me))
        if turn + 1 < tiles or fault("last_turn_handed_on"):
            out.append(("arrive", me if fault("handed_to_itself") else me ^ 1))
    return out


def outcomes(programs):
    """A state is: where the groups stand, which barrier each waits at (-1 none), how many have come
    to each barrier, and the order of turns so far."""
    start = ((0, 0), (-1, -1), (0, 0), ())
    seen, todo, ends = {start}, [start], set()
    while todo:
        state = todo.pop()
        moved = False
        for me in (0, 1):
            pcs, waits, come, order = state
            if waits[me] >= 0 or pcs[me] == len(programs[me]):
                continue
            moved = True
            kind, at = programs[me][pcs[me]]
            pcs = put(pcs, me, pcs[me] + 1)
            if kind == "turn":
                order += (at,)
            else:
                come = put(come, at, come[at] + 1)
                waits = put(waits, me, at if kind == "sync" else -1)
                if come[at] == 2:
                    come = put(come, at, 0)
                    waits = tuple(-1 if w == at else w for w in waits)
            after = (pcs, waits, come, order)
            if after not in seen:
                seen.add(after)
                todo.append(after)
        if not moved:
            pcs, waits, come, order = state
            ends.add((order, come, waits == (-1, -1)))
    return sorted(ends)


def put(row, at, value):
    return row[:at] + (value,) + row[at + 1:]


def sides(case):
    counts = case["counts"]
    scheme = given if case["scheme"] == "given" else counted
    turns = 2 * sum(counts) if scheme is given else len(counts)
    return outcomes([scheme(counts, 0), scheme(counts, 1)]), [[[t % 2 for t in range(turns)], [0, 0], True]]


law.run(sides)
