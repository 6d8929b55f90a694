"""The scoreboard of reliability: what servers survive, side by side."""
