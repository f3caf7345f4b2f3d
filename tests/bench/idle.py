#!/usr/bin/env python3
"""What an idle connection costs: opens so many over mutual TLS, asks once on each, and reads the gateway's memory before
and after. One that never asks is closed after ten seconds. Prints names and figures.

    idle.py HUB PORT PID COUNT BODIES"""

import asyncio
import pathlib
import ssl
import sys
import time

AT_ONCE = 64


def memory(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def main():
    hub, port, pid, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    bodies = pathlib.Path(sys.argv[5]).read_text().splitlines()
    who = hub / "partners/hospital-oita/hospital-oita"
    trust = ssl.create_default_context(cafile=hub / "ca/root.pem")
    trust.load_cert_chain(f"{who}.pem", f"{who}.key")
    trust.set_alpn_protocols(["http/1.1"])
    places = asyncio.Semaphore(AT_ONCE)

    async def ask_once(number):
        async with places:
            reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
            body = bodies[number % len(bodies)].encode()
            writer.write(b"POST /fhir/CoverageEligibilityRequest/$submit HTTP/1.1\r\nhost: localhost\r\n"
                         b"content-type: application/fhir+json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
            return reader, writer

    before, began = memory(pid), time.monotonic()
    connections = await asyncio.gather(*(ask_once(number) for number in range(count)))
    await asyncio.sleep(1)
    after = memory(pid)
    still = sum(not reader.at_eof() for reader, _ in connections)
    if still != count:
        sys.exit(f"only {still} of {count} connections are open after {time.monotonic() - began:.0f} s")
    print(f"connections.before\t{before / 1024:.1f}\nconnections.open\t{after / 1024:.1f}")
    print(f"connections.each\t{(after - before) / count:.1f}")


asyncio.run(main())
