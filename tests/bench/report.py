#!/usr/bin/env python3
"""Reads what the loads of tests/bench/run have written: ratios with their spread, histograms, pictures.

    report.py expect FILE STATUS…      fails unless every answer had one of these statuses
    report.py half RAW LINE            half the median top rate of the gateway
    report.py table OUT [--publish]    the price list, percentiles.csv, histograms.csv and the pictures"""

import json
import os
import pathlib
import re
import statistics
import sys

import pictures

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOOKUPS = ["eligibility", "eligibility-consent", "read", "request", "refused"]
LINES = LOOKUPS + ["submit", "batch", "app"]
# A batch is counted by its vaccinations.
UNITS = {"batch": 100}
# Eligibility checks per second of the whole country at its busiest.
NATIONAL_PEAK = 1400


def read(path):
    return json.loads(path.read_text())


def rate(found):
    return found["summary"]["requestsPerSec"]


def expect(path, allowed):
    found = read(path)
    statuses, errors = found["statusCodeDistribution"], found["errorDistribution"]
    if not statuses or set(statuses) - set(allowed) or errors:
        sys.exit(f"{path}: statuses {statuses}, errors {errors}; only {allowed} were to be")


class Spread:
    """Median, least and most of the rounds."""

    def __init__(self, values):
        values = sorted(values)
        self.median, self.least, self.most = statistics.median(values), values[0], values[-1]

    def text(self, form):
        return f"{self.median:{form}} ({self.least:{form}} to {self.most:{form}})"


class Results:
    def __init__(self, out):
        self.out, self.loads, self.figures = out, {}, {}
        for path in sorted((out / "raw").glob("*.json")):
            line, server, mode, number = path.name.removesuffix(".json").split(".")
            self.loads.setdefault((line, server, mode), {})[int(number)] = read(path)
        for text in self.text("figures.tsv").splitlines():
            name, value = text.split("\t")
            self.figures.setdefault(name, []).append(float(value))

    def text(self, name):
        return (self.out / name).read_text() if (self.out / name).exists() else ""

    def rates(self, line, server, mode="top"):
        found = self.loads.get((line, server, mode))
        return Spread([rate(one) * UNITS.get(line, 1) for one in found.values()]) if found else None

    def peer_line(self, line):
        return "eligibility" if line in LOOKUPS else "submit"

    def ratio(self, line, server, peer="nginx"):
        """In each round: this server on this line, divided by the peer with the bytes of a lookup or a submit."""
        ours, theirs = self.loads.get((line, server, "top")), self.loads.get((self.peer_line(line), peer, "top"))
        if not ours or not theirs:
            return None
        return Spread([rate(one) * UNITS.get(line, 1) / rate(theirs[number]) for number, one in ours.items()])

    def latency(self, line, server, percentile):
        found = self.loads.get((line, server, "half"))
        return Spread([one["latencyPercentiles"][percentile] * 1000 for one in found.values()]) if found else None

    def micros(self, line, server):
        """Processor time of the server for a request at the top rate; an upstream's is not in it."""
        found, ticks = self.loads.get((line, server, "top")), self.figures.get(f"ticks.{line}.{server}.top")
        if not found or not ticks:
            return None
        counts = [sum(one["statusCodeDistribution"].values()) * UNITS.get(line, 1) for _, one in sorted(found.items())]
        return Spread([spent / os.sysconf("SC_CLK_TCK") * 1e6 / count for spent, count in zip(ticks, counts)])

    def percentiles(self, line, server):
        found = self.loads.get((line, server, "half"), {}).values()
        names = [name for name, value in next(iter(found), {"latencyPercentiles": {}})["latencyPercentiles"].items() if value]
        median = lambda name: statistics.median(one["latencyPercentiles"][name] * 1000 for one in found)
        return [(float(name.removeprefix("p")), median(name)) for name in names]

    def printed(self, name, pattern):
        found = [float(text) for text in re.findall(pattern, self.text(name))]
        return Spread(found) if found else None

    def figure(self, name):
        return Spread(self.figures[name]) if name in self.figures else None


def price_list(results):
    yield ["line", "server", "requests/s at the top", "÷ nginx", "CPU µs each", "p50 ms", "p99 ms at half the gateway's top, open loop"]
    for line in LINES:
        for server in ["bare", "nginx", "haproxy", "gateway", "postgres"]:
            top = results.rates(line, server)
            if top:
                cell = lambda spread, form: spread.text(form) if spread else ""
                yield [line, server, top.text(",.0f"), cell(results.ratio(line, server), ".2f"),
                       cell(results.micros(line, server), ".0f"),
                       cell(results.latency(line, server, "p50"), ".2f"), cell(results.latency(line, server, "p99"), ".2f")]


def goals(results):
    """What was set as a goal: name, figure, its form, whether more is better, the goal."""
    nation = results.rates("eligibility", "gateway")
    if nation:
        nation = Spread([NATIONAL_PEAK / value * 100 for value in (nation.median, nation.least, nation.most)])
    return [
        ("eligibility ÷ nginx", results.ratio("eligibility", "gateway"), ".2f", True, 1.0),
        ("eligibility with the consent along ÷ nginx", results.ratio("eligibility-consent", "gateway"), ".2f", True, None),
        ("submit of one vaccination ÷ nginx", results.ratio("submit", "gateway"), ".2f", True, 0.5),
        ("p99 of eligibility at half the top rate, ms", results.latency("eligibility", "gateway", "p99"), ".2f", False, 10),
        (f"{NATIONAL_PEAK} eligibility checks/s, % of the top rate", nation, ".1f", False, 15),
        ("CSV of 100,000 rows, s", results.printed("files.txt", r"([\d.]+) s from the first byte"), ".1f", False, 5),
        ("its memory at the peak, MiB", results.printed("files.txt", r"before, ([\d.]+) MiB at its peak"), ".1f", False, 100),
        ("handshakes ÷ bare rustls", results.printed("handshakes.txt", r"÷ bare: ([\d.]+)"), ".2f", True, 0.9),
        ("memory idle, MiB", results.figure("idle"), ".1f", False, 40),
        ("an idle connection that has asked once, KiB", results.figure("connections.each"), ".1f", False, 30),
        ("memory with 10,000 of them, MiB", results.figure("connections.open"), ".0f", False, None),
        ("memory at the peak of eligibility, MiB", results.figure("peak.eligibility.top"), ".0f", False, None),
        ("memory at the peak of submit, MiB", results.figure("peak.submit.top"), ".0f", False, None),
        ("start to ready, ms", results.figure("start"), ".0f", False, 300),
        ("the same after kill -9, ms", results.figure("start.killed"), ".0f", False, None),
    ]


def goal_table(results):
    yield ["what", "median (least to most)", "goal", ""]
    for name, spread, form, more_is_better, goal in goals(results):
        if spread:
            met = "" if goal is None else "met" if (spread.median >= goal) == more_is_better or spread.median == goal else "SHORT"
            sign = "" if goal is None else f"{'≥' if more_is_better else '≤'} {goal}"
            yield [name, spread.text(form), sign, met]


def show(rows):
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n" for row in rows)


def write_csv(results):
    percentiles, histograms = ["line,server,mode,round,percentile,seconds\n"], ["line,server,mode,round,up_to_seconds,requests\n"]
    for (line, server, mode), rounds in sorted(results.loads.items()):
        for number, found in sorted(rounds.items()):
            start = f"{line},{server},{mode},{number}"
            percentiles += [f"{start},{name},{value}\n" for name, value in found["latencyPercentiles"].items()]
            histograms += [f"{start},{upper},{count}\n" for upper, count in found["responseTimeHistogram"].items()]
    (results.out / "percentiles.csv").write_text("".join(percentiles))
    (results.out / "histograms.csv").write_text("".join(histograms))


def draw(results, folder):
    bars = [(f"{line} · {server}", results.ratio(line, server)) for line in LINES for server in ["bare", "haproxy", "gateway", "postgres"]]
    bars = [(name, spread, name.endswith(("gateway", "postgres"))) for name, spread in bars if spread]
    if bars:
        (folder / "throughput.svg").write_text(pictures.bars("Requests per second ÷ nginx proxy_pass, mutual TLS, keep-alive", bars))
    curves = [(f"{line} · {server}", results.percentiles(line, server)) for line in LINES for server in ["nginx", "gateway"]]
    curves = [(name, points) for name, points in curves if points]
    if curves:
        (folder / "latency.svg").write_text(pictures.curves("Latency in ms by percentile, open loop at half the gateway's top rate", curves))


def table(out, publish):
    results = Results(out)
    text = show(price_list(results)) + "\n" + show(goal_table(results))
    (out / "table.txt").write_text(text)
    write_csv(results)
    draw(results, out)
    if publish:
        (ROOT / "docs/pictures").mkdir(exist_ok=True)
        draw(results, ROOT / "docs/pictures")
    print(text, end="")


def main():
    match sys.argv[1:]:
        case ["expect", path, *allowed]:
            expect(pathlib.Path(path), allowed)
        case ["half", raw, line]:
            found = [rate(read(path)) for path in pathlib.Path(raw).glob(f"{line}.gateway.top.*.json")]
            print(int(statistics.median(found) / 2))
        case ["table", out, *rest]:
            table(pathlib.Path(out), "--publish" in rest)
        case _:
            sys.exit(__doc__)


main()
