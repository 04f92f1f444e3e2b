# Verifies messages with dkimpy: verify.py KEYS MESSAGE...
# KEYS has one "name record" a line. Prints "pass" or "fail" per signature.
import sys

import dkim

records = dict(line.rstrip("\n").split(" ", 1) for line in open(sys.argv[1]))


def lookup(name, timeout=5):
    return records[name.decode().rstrip(".")].encode()


for path in sys.argv[2:]:
    with open(path, "rb") as f:
        message = f.read()
    for index in range(2):
        try:
            ok = dkim.DKIM(message).verify(idx=index, dnsfunc=lookup)
        except Exception as e:
            ok = False
            print(path, index, e, file=sys.stderr)
        print("pass" if ok else "fail")
