"""How much a connection may keep for the program, and for how long what happens to it may take."""

HIGH_WATER_MARK = 64 * 1024
CONNECTION_LIMIT = 256 * 1024 * 1024
REACTOR_LIMIT = 1024 * 1024 * 1024

# How long a connect may take. Milliseconds.
LEAST_TIMEOUT = 250
DEFAULT_TIMEOUT = 20_000
LONGEST_TIMEOUT = 2**62
"""More than any clock can count."""

# What is left of a connection that was closed. Seconds.
STALLED_SECONDS = 60.0
"""In which the peer may fetch nothing of what is still to be sent."""
LINGER_SECONDS = 2.0
"""For the peer to close too, when it has fetched everything. It is looked for so often whether it still fetches."""
LONGEST_LINGER = 3600.0
"""After which it is over, however slowly the peer goes on fetching."""
