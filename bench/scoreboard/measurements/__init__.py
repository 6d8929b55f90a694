"""One module for each measurement: `measure(peer, ...)` returns its figures, or raises `harness.Failure`."""
