"""The reactor that delivers events: its timers, its signals and its hosts."""
