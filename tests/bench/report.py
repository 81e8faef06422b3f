"""What bench.py measured: as lines, as a table in Markdown, as a picture."""
import statistics
import subprocess

CASES = ["full", "noop", "touch", "leaf", "header", "parse"]
ORDER = ["floor", "stat", "lua", "spak", "spak-sandbox", "spak-watch", "ninja", "samu", "make", "tup", "bam"]


def seconds_text(seconds):
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


class Results:
    """Of (N, case, tool): seconds and those of processors of every round, and the most memory in MB."""

    def __init__(self):
        self.seconds, self.cpu, self.memory = {}, {}, {}

    def add(self, n, case, tool, result):
        if not result:
            return
        key = (n, case, tool)
        self.seconds.setdefault(key, []).append(result[0])
        self.cpu.setdefault(key, []).append(result[1])
        self.memory[key] = max(result[2], self.memory.get(key, 0))

    def print_table(self, size):
        print(f"{'N':>8} {'case':7} {'tool':13} {'median s':>9} {'least':>8} {'cpu s':>8} {'MB':>7}  ninja/tool  by least  by cpu")
        for key, all_seconds in sorted(self.seconds.items(), key=lambda item: (CASES + ["hash"]).index(item[0][1])):
            n, case, name = key
            if n != size or case == "hash":
                continue
            ninja = (n, case, "ninja")
            ratios = ""
            if ninja in self.seconds:
                pairs = [(statistics.median, self.seconds), (min, self.seconds), (min, self.cpu)]
                ratios = " ".join(f"{of(table[ninja]) / max(of(table[key]), 1e-6):9.2f}x" for of, table in pairs)
            print(f"{n:8} {case:7} {name:13} {statistics.median(all_seconds):9.4f} {min(all_seconds):8.4f} "
                  f"{min(self.cpu[key]):8.4f} {self.memory[key]:7.1f} {ratios}", flush=True)

    def hashing(self, count_bytes):
        """GB/s of the library and of spak; None where they were not measured."""
        rates = [count_bytes / 1e9 / statistics.median(s) for k, s in sorted(self.seconds.items()) if k[1] == "hash"]
        return rates if len(rates) == 2 else None

    def print_hashing(self, count_bytes):
        rates = self.hashing(count_bytes)
        if rates:
            print(f"# hashing: library {rates[0]:.2f} GB/s, spak {rates[1]:.2f} GB/s: {100 * rates[1] / rates[0]:.0f} %", flush=True)

    def cell(self, n, case, tool):
        key, ninja = (n, case, tool), (n, case, "ninja")
        if key not in self.seconds:
            return "-"
        median = statistics.median(self.seconds[key])
        text = seconds_text(median)
        if ninja in self.seconds and tool != "ninja":
            text += f" ({statistics.median(self.seconds[ninja]) / median:.2g}x)"
        return text

    def memory_cell(self, n, tool):
        held = [f"{self.memory[(n, case, tool)]:.0f}" if (n, case, tool) in self.memory else "-" for case in ("full", "noop", "leaf")]
        return " / ".join(held) if any(h != "-" for h in held) else "-"

    def write_markdown(self, path, count_bytes):
        sizes = sorted({n for n, case, _ in self.seconds if case != "hash"})
        tools = [t for t in ORDER if any(key[2] == t and key[1] != "hash" for key in self.seconds)]
        head = "| " + " | ".join(["N", "case"] + tools) + " |\n" + "|" + "---|" * (len(tools) + 2) + "\n"
        with open(path, "w", encoding="utf-8") as out:
            out.write("Medians of wall time; in brackets how many times ninja's speed that is.\n\n" + head)
            for n in sizes:
                for case in CASES:
                    if any(key[:2] == (n, case) for key in self.seconds):
                        out.write("| " + " | ".join([f"{n:,}", case] + [self.cell(n, case, t) for t in tools]) + " |\n")
            out.write("\nMost memory that one process held, MB: full / no-op / leaf.\n\n" + head.replace("| case ", "").replace("---|", "", 1))
            for n in sizes:
                out.write("| " + " | ".join([f"{n:,}"] + [self.memory_cell(n, t) for t in tools]) + " |\n")
            rates = self.hashing(count_bytes)
            if rates:
                out.write(f"\nHashing: the digest library alone {rates[0]:.2f} GB/s, spak {rates[1]:.2f} GB/s "
                          f"({100 * rates[1] / rates[0]:.0f} %).\n")

    def plot(self, path):
        """A picture for each case: seconds over N, both logarithmic."""
        cases = [c for c in CASES if any(key[1] == c for key in self.seconds)]
        sizes = [n for n, case, _ in self.seconds if case in CASES]
        lines = ["set terminal svg size 1200,1000 font 'sans,12'", f"set output '{path}'", "set logscale xy", "set key outside right",
                 "set xlabel 'nodes'", "set ylabel 'seconds'", "set grid", f"set xrange [{min(sizes) / 2}:{max(sizes) * 2}]", f"set multiplot layout {-(-len(cases) // 2)},2"]
        for case in cases:
            names = [t for t in ORDER if any(key[1:] == (case, t) for key in self.seconds)]
            lines.append(f"set title '{case}'")
            lines.append("plot " + ", ".join(f"'-' with linespoints lt {1 + ORDER.index(name)} title '{name}'" for name in names))
            for name in names:
                lines += [f"{k[0]} {statistics.median(v)}" for k, v in sorted(self.seconds.items()) if k[1:] == (case, name)] + ["e"]
        subprocess.run(["gnuplot"], input="\n".join(lines) + "\n", text=True, check=False)
