"""The reactor that delivers events: its timers and signals, and what hosts it."""
