#!/usr/bin/env python3
"""Asks the first request of each line once and looks at what comes back: a status does not tell an answer from an empty one.

    answers.py HUB PORT MADE LINE…"""

import http.client
import json
import pathlib
import ssl
import sys

# Who asks, the status, and what stands in the answer so many times.
EXPECTED = {
    "eligibility": ("hospital-oita", 200, '"inforce":true', 1),
    "eligibility-consent": ("hospital-oita", 200, '"inforce":true', 1),
    "read": ("hospital-oita", 200, '"resourceType":"Immunization"', 1),
    "request": ("city-hakodate", 200, '"kind":"checkup_maternal"', 1),
    "refused": ("hospital-oita", 404, '"not_available"', 1),
    "submit": ("hospital-oita", 201, '"OperationOutcome"', 1),
    "app": ("app-techo", 200, '"kind":"vaccination"', 1),
    "batch": ("hospital-oita", 200, '"status":"201', 100),
}


def ask(hub, port, partner, asked):
    context = ssl.create_default_context(cafile=hub / "ca/root.pem")
    pair = hub / f"partners/{partner}/{partner}"
    context.load_cert_chain(f"{pair}.pem", f"{pair}.key")
    connection = http.client.HTTPSConnection("localhost", port, context=context)
    # A number that no load uses.
    body = asked["body"].replace("@N@", "answers")
    connection.request(asked["method"], asked["path"], body.encode() or None, asked["headers"])
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def main():
    hub, port, made = pathlib.Path(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
    for line in sys.argv[4:]:
        partner, status, text, least = EXPECTED[line]
        with (made / f"{line}.jsonl").open() as requests:
            found, answer = ask(hub, port, partner, json.loads(next(requests)))
        if found != status or answer.count(text) < least:
            sys.exit(f"{line}: {found} with {answer.count(text)} of {text}; {status} with {least} were to be: {answer[:500]}")


main()
