"""The rules of the oracle `events`, one module for each kind."""
