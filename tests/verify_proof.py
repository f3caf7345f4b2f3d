#!/usr/bin/env python3
"""Verifies what the hub proves, by another program than the hub's own.

    verify_proof.py KEY PROOF            a leaf's proof (C2SP tlog-proof)
    verify_proof.py KEY PROOF EARLIER    a proof that a log grew (body of C2SP tlog-witness), from an earlier checkpoint

Written from RFC 6962, RFC 9162 and the C2SP specifications, with the standard library; Ed25519 is openssl's. Prints the
origin and size that were proved. Ends with 1 if anything does not hold.
"""
import base64
import hashlib
import subprocess
import sys
import tempfile

# SubjectPublicKeyInfo of an Ed25519 key, up to its 32 bytes (RFC 8410).
SPKI = bytes.fromhex("302a300506032b6570032100")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def node(left, right):
    return sha256(b"\x01", left, right)


def openssl_verifies(public_key, message, signature):
    with tempfile.TemporaryDirectory() as folder:
        names = {}
        for name, content in (("key", SPKI + public_key), ("message", message), ("signature", signature)):
            names[name] = f"{folder}/{name}"
            with open(names[name], "wb") as file:
                file.write(content)
        ran = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", names["key"], "-rawin",
             "-in", names["message"], "-sigfile", names["signature"]],
            capture_output=True,
        )
        return ran.returncode == 0


def open_note(note, key_text):
    """Origin, size and root of a checkpoint that the key has signed."""
    name, key_id, key = key_text.strip().split("+", 2)
    key = base64.b64decode(key, validate=True)
    assert key[0] == 1 and len(key) == 33, "not an Ed25519 key"
    expected = sha256(name.encode(), b"\n", key)[:4]
    assert expected.hex() == key_id, "the key's id is not its own"
    body, signatures = note.rsplit("\n\n", 1)
    body = (body + "\n").encode()
    for line in signatures.splitlines():
        dash, signer, signature = line.split(" ")
        assert dash == "\u2014"
        signature = base64.b64decode(signature, validate=True)
        if signer == name and signature[:4] == expected:
            assert openssl_verifies(key[1:], body, signature[4:]), "the signature does not hold"
            origin, size, root = body.decode().splitlines()[:3]
            return origin, int(size), base64.b64decode(root, validate=True)
    raise AssertionError("not signed by this key")


def includes(leaf, index, size, proof, root):
    """RFC 9162, section 2.1.3.2."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node(p, r)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def is_consistent(first, first_root, second, second_root, proof):
    """RFC 9162, section 2.1.4.2."""
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof
    if first > second or not proof and first & (first - 1):
        return False
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while fn & 1 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


def main(key_file, proof_file, earlier_file=None):
    key, text = open(key_file, encoding="utf-8").read(), open(proof_file, encoding="utf-8").read()
    head, note = text.split("\n\n", 1)
    lines = head.split("\n")
    origin, size, root = open_note(note, key)
    if lines[0] == "c2sp.org/tlog-proof@v1":
        leaf = base64.b64decode(lines[1].removeprefix("extra "), validate=True)
        index = int(lines[2].removeprefix("index "))
        proof = [base64.b64decode(line, validate=True) for line in lines[3:]]
        assert includes(leaf, index, size, proof, root), f"leaf {index} is not under this checkpoint"
        print(f"{origin} {size}: leaf {index} {leaf.hex()}")
    else:
        old = int(lines[0].removeprefix("old "))
        proof = [base64.b64decode(line, validate=True) for line in lines[1:]]
        old_note = open(earlier_file, encoding="utf-8").read()
        if old_note.startswith("c2sp.org/tlog-proof@v1\n"):
            old_note = old_note.split("\n\n", 1)[1]
        old_origin, old_size, old_root = open_note(old_note, key)
        assert (old_origin, old_size) == (origin, old), "the earlier checkpoint is another one"
        assert is_consistent(old, old_root, size, root, proof), f"{origin} does not go on from {old}"
        print(f"{origin} {size}: goes on from {old}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (AssertionError, ValueError, KeyError, IndexError, OSError) as fault:
        print(f"refused: {fault}", file=sys.stderr)
        sys.exit(1)
