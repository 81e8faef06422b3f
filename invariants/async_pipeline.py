#!/usr/bin/env python3
"""A ring of stages between a producer and consumers: no deadlock, no stage overwritten while it is
read, none read before it is full, every slice delivered to every consumer, in order.

Each stage has two barriers with a pending count, announced bytes and a phase, waited on by parity
alone, as the hardware's: a fresh barrier answers a wait for parity 1 at once. A copy lands at any
time after it was started; products read their stage until they are waited for, and one group stays
in flight, so that a ring of one stage would wait for itself. With `turns` two consumers take whole
walks over k in turn, as ping-pong kernels do, and a turn is handed over when its products are
issued. All interleavings are walked, up to the first violation. Sides: the violations met and what
each consumer read, and none and every slice in order. Source: mbarrier and wgmma of PTX; the
pipelines of CUTLASS; the parity that lies when a waiter is two phases away.
"""
import law
from law import fault

FULL, EMPTY = 0, 1


class Ring:
    """The programs of a pipeline, and every state that an interleaving of them reaches.

    A state is: slices whose copy was started, where each consumer stands, its slices in flight, the
    ring, whose turn it is, what was read. A stage is: full and empty barrier, the slice that it
    holds and the one on its way, -1 for none. A barrier is (phase, pending, bytes on their way).
    """

    def __init__(self, case):
        self.stages, self.steps = case["stages"], case["steps"]
        self.consumers, self.turns = case["consumers"], case["turns"]
        if self.turns and self.consumers != 2:
            law.skip("two take turns")
        self.walks = case["walks"]
        self.total = self.steps * self.walks
        readers = 1 if self.turns else self.consumers
        if fault("arrival_missing"):
            readers += 1
        if fault("arrival_too_few"):
            readers = max(1, readers - 1)
        self.arrivals = (1, readers)
        self.problems = set()

    def program(self, consumer):
        """What a consumer does: (operation, slice) in order."""
        out = []
        for walk in range(self.walks):
            if self.turns and walk % 2 != consumer:
                continue
            if self.turns and walk > 0 and not fault("turn_not_awaited"):
                out.append(("turn", walk))
            first, before = walk * self.steps, None
            for i in range(first, first + self.steps):
                if not fault("full_not_awaited"):
                    out.append(("wait", i))
                out.append(("issue", i))
                if fault("released_in_flight"):
                    out.append(("release", i))
                    continue
                out.append(("settle", 1))
                if before is not None:
                    out.append(("release", before))
                before = i
            if self.turns and walk + 1 < self.walks:
                out.append(("hand", walk + 1))
            out.append(("settle", 0))
            if before is not None and not fault("last_not_released"):
                out.append(("release", before))
        return tuple(out)

    def parity(self, i, side):
        phase = i // self.stages + (1 if side == EMPTY else 0)
        if fault("parity_not_flipped"):
            phase = 1 if side == EMPTY else 0
        if fault("producer_starts_at_zero") and side == EMPTY:
            phase -= 1
        return phase & 1

    def arrive(self, bar, side):
        phase, pending, tx = bar
        return self.complete((phase, pending - 1, tx), side)

    def complete(self, bar, side):
        phase, pending, tx = bar
        if pending == 0 and tx == 0:
            return (phase + 1, self.arrivals[side], 0)
        if pending < 0:
            self.problems.add("more arrivals than the barrier counts")
        return bar

    def explore(self):
        programs = [self.program(c) for c in range(self.consumers)]
        ring = tuple(((0, 1, 0), (0, self.arrivals[EMPTY], 0), -1, -1) for _ in range(self.stages))
        start = (0, (0,) * self.consumers, ((),) * self.consumers, ring, 1, ((),) * self.consumers)
        seen, todo, ends = {start}, [start], set()
        while todo and not self.problems:
            state = todo.pop()
            moves = list(self.moves(state, programs))
            if not moves:
                made, pcs, _, _, _, read = state
                if made < self.total or any(pc < len(p) for pc, p in zip(pcs, programs)):
                    self.problems.add("deadlock")
                ends.add(read)
            for after in moves:
                if after not in seen:
                    seen.add(after)
                    todo.append(after)
        return sorted(self.problems), sorted(ends)

    def moves(self, state, programs):
        made, pcs, flight, ring, turn, read = state
        if made < self.total:
            after = self.start_copy(ring, flight, made)
            if after:
                yield made + 1, pcs, flight, after, turn, read
        for at, (full, empty, content, coming) in enumerate(ring):
            if coming >= 0:  # the copy lands
                landed = (self.complete((full[0], full[1], 0), FULL), empty, coming, -1)
                yield made, pcs, flight, put(ring, at, landed), turn, read
        for c, program in enumerate(programs):
            if pcs[c] < len(program):
                after = self.step(program[pcs[c]], c, flight, ring, turn, read)
                if after:
                    yield (made, put(pcs, c, pcs[c] + 1)) + after

    def start_copy(self, ring, flight, i):
        at = i % self.stages
        full, empty, content, coming = ring[at]
        if not fault("empty_not_awaited") and empty[0] & 1 == self.parity(i, EMPTY):
            return None
        if coming >= 0 or any(j % self.stages == at for group in flight for j in group):
            self.problems.add("overwritten while it is used")
        bar = (full[0], full[1] - 1, 1)
        if fault("bytes_not_announced"):
            bar = self.complete((full[0], full[1] - 1, 0), FULL)
        return put(ring, at, (bar, empty, content, i))

    def step(self, instruction, c, flight, ring, turn, read):
        kind, i = instruction
        at = i % self.stages
        full, empty, content, coming = ring[at]
        if kind == "wait":
            return (flight, ring, turn, read) if full[0] & 1 != self.parity(i, FULL) else None
        if kind == "turn":
            return (flight, ring, turn, read) if turn == i + 1 else None
        if kind == "hand":
            return flight, ring, i + 1, read
        if kind == "issue":
            if content != i or coming >= 0:
                self.problems.add("read before it is full")
            return put(flight, c, flight[c] + (i,)), ring, turn, put(read, c, read[c] + (content,))
        if kind == "settle":
            return put(flight, c, flight[c][len(flight[c]) - i:] if i else ()), ring, turn, read
        return flight, put(ring, at, (full, self.arrive(empty, EMPTY), content, coming)), turn, read


def put(row, at, value):
    return row[:at] + (value,) + row[at + 1:]


def sides(case):
    ring = Ring(case)
    problems, ends = ring.explore()
    want = [[i for i in range(ring.total) if not ring.turns or i // ring.steps % 2 == c]
            for c in range(ring.consumers)]
    return [problems, ends], [[], [want]]


law.run(sides)
