"""A hub of the dist build in a process of its own, and what is asked of it over mutual TLS."""

import atexit
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TSUNAGI, LOAD = TARGET / "dist/tsunagi", TARGET / "dist/examples/load"


def settings():
    text = (ROOT / "tests/bench/hub.env").read_text()
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def lines(path, requests):
    path.write_text("".join(f"{text}\n" for text in requests))
    return path


class Hub:
    """A node: `folder` is where the demo has made its hub, `environment` what this one has set otherwise."""

    def __init__(self, folder, environment=None, name="log"):
        self.folder, self.process = folder, None
        self.environment = os.environ | settings() | (environment or {})
        self.log = folder.parent / f"{folder.name}-{name}.txt"

    def make(self):
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([TSUNAGI, "--lang", "en", "demo", "--keep", self.folder], check=True, capture_output=True)

    def run(self, *arguments):
        command = [TSUNAGI, "--lang", "en", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, check=True, capture_output=True)

    def start(self):
        """Seconds from exec until the hub says that it is ready."""
        began = time.monotonic()
        with self.log.open("wb") as log:
            command = [TSUNAGI, "--lang", "en", "serve"]
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        # A run that ends early leaves nobody behind.
        atexit.register(self.process.kill)
        while not (found := re.search(r"\bedge=[\d.]*:(\d+) operations=[\d.]*:(\d+)", self.log.read_text())):
            if self.process.poll() is not None:
                sys.exit(self.log.read_text())
            time.sleep(0.002)
        self.port, self.operations = int(found[1]), int(found[2])
        while self.readiness() is None:
            time.sleep(0.002)
        return time.monotonic() - began

    def readiness(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.operations}/readyz") as answer:
                return json.load(answer)
        except OSError:
            return None

    def quiet(self):
        """Seconds until everything is sealed."""
        began = time.monotonic()
        # The lag is told in whole seconds: what was written within the last one is not in it.
        time.sleep(1)
        while (self.readiness() or {}).get("sealing_lag_seconds") != 0:
            time.sleep(0.1)
        return time.monotonic() - began

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def begin_load(self, partner, path, *options):
        command = [LOAD, "--run", str(time.time_ns()), *options, self.folder, partner, str(self.port), path]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    def load(self, partner, path, *options):
        """Answers a second; ends the run if one was another than it should be."""
        return rate(self.begin_load(partner, path, *options), path)

    def take_in(self, path):
        pair = self.folder / "partners/city-oita/city-oita"
        subprocess.run(
            ["curl", "--silent", "--show-error", "--fail", "--http1.1", "--cacert", self.folder / "ca/root.pem",
             "--cert", f"{pair}.pem", "--key", f"{pair}.key", "--header", "content-type: text/csv; charset=Shift_JIS",
             "--upload-file", path, "--request", "POST", "--output", "/dev/null",
             f"https://127.0.0.1:{self.port}/v1/files/municipal_csv/subsidy_entitlement_legacy"], check=True)


def rate(load, path):
    """What a load that was begun comes to."""
    said, _ = load.communicate()
    if load.returncode != 0:
        sys.exit(f"{path}: the load ended with {load.returncode}")
    found = json.loads(said)
    if set(found["statusCodeDistribution"]) - {"200", "201"} or found["errorDistribution"]:
        sys.exit(f"{path}: {found['statusCodeDistribution']} {found['errorDistribution']}")
    return found["summary"]["requestsPerSec"]
