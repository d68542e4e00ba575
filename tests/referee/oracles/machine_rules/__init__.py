"""The rules of the oracle `machines`, one module for each kind."""
