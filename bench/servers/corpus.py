"""Bad ports and addresses. Names of hosts are not among them: most libraries look those up on purpose."""

import contextlib
import random
import socket


class Index:
    """An integer that is out of range, or raises."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        if self.value is None:
            raise OverflowError("no integer today")
        return self.value


GOOD_PORT, GOOD_ADDRESS = 0, "127.0.0.1"

PORTS = (
    *(-1, -2, -65535, -65536, -(2**31), -(2**63), -(2**64)),
    *(65536, 65537, 65616, 70000, 131072, 2**31 - 1, 2**31, 2**32, 2**32 + 80, 2**63, 2**64, 10**30),
    *(80.0, 80.5, -0.5, 1e9, float("nan"), float("inf"), 80j),
    *("80", "8080 ", " 8080", "８０８０", "0x50", "8_0_8", "http", "-1", "", "80.5", "\x00"),
    *(b"8080", True, [8080], (8080,), {8080: 1}, Index(-1), Index(65536), Index(2**64), Index(None)),
)

ADDRESSES = (
    *("127.1", "127.0.1", "127", "2130706433", "0x7f.0.0.1", "0x7f000001", "0177.0.0.1", "127.0.0.01", "127.000.0.1"),
    *("1.2.3.4.5", "127.0.0.256", "127.0.0.-1", "127..0.1", "127.0.0.", ".127.0.0.1", "127.0.0.1.", "127.0.0.1e0"),
    *(" 127.0.0.1", "127.0.0.1 ", "127.0.0.1\n", "\t127.0.0.1", "127.0.0.1\x00", "127.0.0.1\x00.example", "\x00"),
    *("１２７.0.0.1", "127。0。0。1", "127.0.0.١", "127.0.0.1\u200b", "127.0.0.\ud800", "💥"),
    *("127.0.0.1:80", "127.0.0.1/8", "[127.0.0.1]", "[::1]", "[::1]:80", "::1/128", ":::1", "1::2::3", "::g", "::1 "),
    *("::1\x00", "::1%", "::1%999999", "::1%nowhere", "::ffff:127.1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9"),
    *("224.0.0.1", "239.1.2.3", "255.255.255.255", "203.0.113.7", "1" * 70_000),
)

CASES = tuple((GOOD_ADDRESS, port) for port in PORTS) + tuple((address, GOOD_PORT) for address in ADDRESSES)


def described(address, port):
    return ascii((address[:40], getattr(port, "value", port)))


def accepted(listen):
    """What of the corpus *listen*(address, port) takes."""
    taken = []
    for case in CASES:
        try:
            listen(*case)
        except Exception:
            continue
        taken.append(described(*case))
    return taken


def well_formed(address):
    """Returns True if the system's own strict parsers take *address*, or it names a scope, which its family judges."""
    if not address or "%" in address:
        return True
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, address)
            return True
    return False


def fuzzed(count, listen, seed=1):
    """How many of *count* bad cases, made of good ones, *listen*(address, port) refuses, and which it takes."""
    choose = random.Random(seed)
    seeds = ("127.0.0.1", "::1", "0.0.0.0", "255.1.22.133", "fe80::1:2", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8")
    letters = "0123456789abcdefxX.:/[]-+ \t\n\x00１。\u200b\ud800é"
    refused, taken = 0, []
    while refused + len(taken) < count:
        if choose.random() < 0.25:
            port = choose.choice((-1, 1)) * (65536 + choose.getrandbits(choose.randrange(1, 80)))
            address = GOOD_ADDRESS
        else:
            letter = choose.choice(letters)
            address, port = choose.choice(seeds), GOOD_PORT
            for _ in range(choose.randrange(1, 4)):
                at = choose.randrange(len(address) + 1)
                address = address[:at] + letter * choose.randrange(3) + address[at + choose.randrange(3) :]
            if well_formed(address):
                continue
        try:
            listen(address, port)
            taken.append(ascii((address, port)))
        except ValueError:
            refused += 1
    return {"refused": refused, "taken": taken}
