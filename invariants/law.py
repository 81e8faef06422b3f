"""The protocol of a simulation, and the arithmetic that several laws share.

A law file defines `sides(case)`, which returns the two sides of the law for one case, and ends with
`law.run(sides)`. It reads cases from stdin, one JSON object a line, and answers each with one line.
It never says whether the law held: the engine compares.

A law file can be run by itself, or as `law.py FILE`: then `import law` finds this very module without a
look at the folder, which a sandbox that knows only declared files does not grant.
"""
import json
import math
import os
import struct
import sys

INF = math.inf
MUTANT = sys.argv[-1] if sys.argv[-2:-1] == ["--mutant"] else None

P = 2147483647  # a prime: algebra over GF(P) is exact, so an equality of real expressions is one here


class Skip(Exception):
    """The case lies outside the law's domain."""


def skip(reason):
    raise Skip(reason)


def fault(name):
    """True in the mutant of that name: guard the seeded fault with it."""
    return MUTANT == name


def gexp(x):
    """exp over GF(P): 7**x has the property laws use, exp(a + b) = exp(a) exp(b), and exp(-inf) = 0."""
    return 0 if x == -INF else pow(7, int(x), P)


def generic(j):
    """The j-th of a row of fixed generic elements of GF(P); stands for any value a law is linear in."""
    return pow(16807, 3 * j + 5, P)


def ceil_div(a, b):
    return -(-a // b)


_F32 = struct.Struct("f")
_F16 = struct.Struct("e")


def f32(x):
    """x rounded to fp32, as a double."""
    try:
        return _F32.unpack(_F32.pack(x))[0]
    except OverflowError:
        return math.copysign(INF, x)


def f16(x):
    """x rounded to fp16, as a double."""
    try:
        return _F16.unpack(_F16.pack(x))[0]
    except OverflowError:
        return math.copysign(INF, x)


def bf16(x):
    """x rounded to bfloat16 (8 bits of significand), ties to even."""
    if x == 0 or math.isinf(x) or math.isnan(x):
        return x
    mantissa, exponent = math.frexp(x)
    return math.ldexp(round(mantissa * 256), exponent - 8)


def exp32(x):
    """exp in fp32: overflows to inf as the device's does."""
    if x > 89:
        return INF
    return f32(math.exp(x))


def div(a, b):
    """IEEE division: Python's raises where the hardware answers inf or nan."""
    if b != 0:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(INF, a)


def _decode(line):
    for word, number in ((b'"-inf"', b"-Infinity"), (b'"inf"', b"Infinity"), (b'"nan"', b"NaN")):
        line = line.replace(word, number)
    return json.loads(line)


def _encode(answer):
    text = json.dumps(answer, default=str, separators=(",", ":"))
    if "Infinity" in text or "NaN" in text:
        text = text.replace("-Infinity", '"-inf"').replace("Infinity", '"inf"').replace("NaN", '"nan"')
    return text


def _answer(sides, line):
    try:
        lhs, rhs = sides(_decode(line))
    except Skip as reason:
        return _encode({"skip": str(reason)})
    return _encode({"lhs": lhs, "rhs": rhs})


def run(sides):
    """Answer cases until stdin ends; answers leave whenever the input read so far is used up."""
    rest = b""
    while True:
        chunk = os.read(0, 1 << 16)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            text = "\n".join(_answer(sides, line) for line in lines) + "\n"
            sys.stdout.write(text)
            sys.stdout.flush()


if __name__ == "__main__":
    sys.modules["law"] = sys.modules["__main__"]
    with open(sys.argv[1], encoding="utf-8") as source:
        exec(compile(source.read(), sys.argv[1], "exec"), {"__name__": "__main__"})
