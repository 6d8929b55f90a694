"""The default limits: how much data a connection may hold, and how long its operations may take."""

HIGH_WATER_MARK = 64 * 1024
CONNECTION_LIMIT = 256 * 1024 * 1024
REACTOR_LIMIT = 1024 * 1024 * 1024

# How long a connect may take. Milliseconds.
LEAST_TIMEOUT = 250
DEFAULT_TIMEOUT = 20_000
LONGEST_TIMEOUT = 2**62
"""More than any clock can count."""

# After a close, while pending output is still being sent. Seconds.
STALLED_SECONDS = 60.0
"""The connection is reset if the peer acknowledges nothing for this long."""
LINGER_SECONDS = 2.0
"""How long the peer has to close too, once it has acknowledged everything. Also the period of checking for progress."""
LONGEST_LINGER = 3600.0
"""The connection is reset after this time, even if the peer still acknowledges data slowly."""
