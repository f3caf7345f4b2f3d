#!/usr/bin/env python3
"""What one, two and three nodes do on one PostgreSQL and one Redis, in turns.

    nodes.py [--nodes 3] [--rounds 3] [--seconds 4] [--connections 32] [--out FOLDER] --postgres URL --redis URL

tests/bench/nodes gives it both servers, fresh. 20,000 children, half of whom have a consent on file. In each round,
for each number of nodes, as many connections in all ask for eligibility, then submit vaccinations; each node has its share of
them. Rates are those of all nodes together. Load, nodes, Redis and database share the cores of the machine: the sum says what the
shared parts cost, not what more machines would bring."""

import argparse
import pathlib
import statistics
import subprocess

import requests as made
from hub import ROOT, TARGET, Hub, lines, rate

CHILDREN = 20_000


def fill(node, folder):
    """Children, and a consent for half of them."""
    path = folder / "rows.csv"
    path.write_bytes("".join(made.entitlements(CHILDREN)).encode("cp932"))
    node.take_in(path)
    submit = "/fhir/CoverageEligibilityRequest/$submit"
    ask = lambda with_consent: [made.line("POST", submit, made.FHIR, made.eligibility(row, with_consent)) for row in range(1, CHILDREN // 2)]
    node.load("hospital-oita", lines(folder / "consents.jsonl", ask(True)), "--once")
    doses = (made.line("POST", "/fhir/Immunization", made.FHIR, made.vaccination(row, "N-@N@")) for row in range(CHILDREN // 2, CHILDREN))
    return {"eligibility": lines(folder / "eligibility.jsonl", ask(False)), "submit": lines(folder / "submits.jsonl", doses)}


def together(nodes, path, options):
    """Answers a second of all nodes together."""
    share = str(max(1, options.connections // len(nodes)))
    begun = [node.begin_load("hospital-oita", path, "--connections", share, "--seconds", str(options.seconds),
                             "--skip", str(at * CHILDREN // 6)) for at, node in enumerate(nodes)]
    return sum(rate(one, path) for one in begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--out", type=pathlib.Path, default=TARGET / "bench/nodes")
    options = parser.parse_args()
    folder = options.out.resolve()
    subprocess.run(["rm", "-rf", folder], check=True)
    folder.mkdir(parents=True)
    environment = {
        "TSUNAGI__STORE__BACKEND": "postgres", "TSUNAGI__STORE__POSTGRES_URL": options.postgres,
        "TSUNAGI__COORDINATOR__URL": options.redis,
    }
    nodes = [Hub(folder / "hub", environment, f"node-{at}") for at in range(options.nodes)]
    nodes[0].make()
    nodes[0].run("registry", "import", ROOT / "gateway/server/src/demo/registry.toml")
    for node in nodes:
        node.start()
    paths = fill(nodes[0], folder)
    found = {}
    for turn in range(options.rounds):
        counts = range(1, options.nodes + 1)
        for count in counts if turn % 2 == 0 else reversed(counts):
            for line, path in paths.items():
                found.setdefault((line, count), []).append(together(nodes[:count], path, options))
                nodes[0].quiet()
    for node in nodes:
        node.stop()
    print(f"{'line':12} {'nodes':>5} {'answers/s':>10} {'least':>8} {'most':>8} {'÷ one':>6}")
    for (line, count), rates in sorted(found.items()):
        ratio = statistics.median(one / other for one, other in zip(rates, found[line, 1]))
        print(f"{line:12} {count:5} {statistics.median(rates):10,.0f} {min(rates):8,.0f} {max(rates):8,.0f} {ratio:6.2f}")
    print(nodes[0].run("audit", "verify").stdout.decode(), end="")


main()
