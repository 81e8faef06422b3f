#!/usr/bin/env python3
"""Tiles of C that leave through staging buffers and the copy engine arrive as they were written.

Warps write their part of a buffer with ordinary stores, the parts become visible to the copy engine
by a fence of each writer, a barrier follows, and one thread starts the copy, commits it as a group
and waits, before the buffer is used again, until all but the youngest groups have read theirs; that
wait counts the groups of the thread that asks, and of no other. The copy reads at any time until
then. All interleavings are walked, up to the first hazard. Sides: whether a copy met bytes that no
fence had handed over, and every outcome in global memory; none, and what was written. Source: cp.async.bulk
groups and fence.proxy.async of PTX. Two of the mutants are faults of published kernels (`no_fence`,
`another_waits`), and one was in this project's own (`counted_anew`).
"""
import law
from law import fault


class Staging:
    """A state is: where each warp stands, who waits at the barrier, what each part of each buffer
    holds as (chunk, fenced), groups that were started and those not yet read, and global memory."""

    def __init__(self, case):
        self.warps, self.buffers, self.chunks = case["warps"], case["buffers"], case["chunks"]
        self.across = case["across"]
        self.hazards = set()

    def program(self, warp):
        leader, out = warp == 0, []
        left = self.buffers if fault("waits_for_too_few") else self.buffers - 1
        waiter = warp == self.warps - 1 if fault("another_waits") else leader
        for chunk in range(self.chunks):
            if waiter and not fault("reused_without_wait"):
                out.append(("wait", left))
            if not fault("reuse_not_announced"):
                out.append(("barrier", 0))
            out.append(("write", chunk))
            if not fault("no_fence") and (leader or not fault("leader_fences_alone")):
                out.append(("fence", chunk))
            if not fault("parts_not_awaited"):
                out.append(("barrier", 0))
            if leader:
                out.append(("copy", chunk))
        return out

    def explore(self):
        programs = [self.program(w) for w in range(self.warps)]
        empty = tuple(((-1, True),) * self.warps for _ in range(self.buffers))
        start = ((0,) * self.warps, (False,) * self.warps, empty, 0, (), (None,) * self.chunks)
        seen, todo, ends = {start}, [start], set()
        while todo and not self.hazards:
            state = todo.pop()
            moves = list(self.moves(state, programs))
            if not moves:
                done = all(pc == len(p) for pc, p in zip(state[0], programs))
                ends.add(state[5] if done else "deadlock")
            for after in moves:
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
        return sorted(self.hazards), sorted(ends, key=str)

    def moves(self, state, programs):
        pcs, waiting, buffers, started, unread, memory = state
        if unread:  # groups are read in any order that their copies finish in
            for at, chunk in enumerate(unread):
                parts = buffers[self.place(chunk)]
                if not all(fenced for _, fenced in parts):
                    self.hazards.add("copied bytes that no fence handed over")
                rest = unread[:at] + unread[at + 1:]
                seen = tuple(content for content, _ in parts)
                yield pcs, waiting, buffers, started, rest, put(memory, chunk, seen)
        for warp, program in enumerate(programs):
            if pcs[warp] == len(program) or waiting[warp]:
                continue
            kind, n = program[pcs[warp]]
            ahead = put(pcs, warp, pcs[warp] + 1)
            if kind == "barrier":
                held = put(waiting, warp, True)
                if all(held):
                    held = (False,) * self.warps
                yield ahead, held, buffers, started, unread, memory
            elif kind == "write":
                after = self.write(buffers, n, warp, (n, False))
                yield ahead, waiting, after, started, unread, memory
            elif kind == "fence":
                after = self.write(buffers, n, warp, (n, True))
                yield ahead, waiting, after, started, unread, memory
            elif kind == "copy":
                yield ahead, waiting, buffers, started + 1, unread + (n,), memory
            elif warp != 0 or all(chunk >= started - n for chunk in unread):
                yield ahead, waiting, buffers, started, unread, memory

    def place(self, chunk):
        count = chunk % self.across if fault("counted_anew") else chunk
        return count % self.buffers

    def write(self, buffers, chunk, warp, part):
        at = self.place(chunk)
        return put(buffers, at, put(buffers[at], warp, part))


def put(row, at, value):
    return row[:at] + (value,) + row[at + 1:]


def sides(case):
    staging = Staging(case)
    hazards, ends = staging.explore()
    want = [[chunk] * staging.warps for chunk in range(staging.chunks)]
    return [hazards, ends], [[], [want]]


law.run(sides)
