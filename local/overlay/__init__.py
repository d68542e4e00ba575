"""What the emulator lacks, added inside its own process.

The overlay is started in place of the ``ministack`` command (``python -m overlay``). It checks that
the installed release is exactly the one it was written for, compares the signature of each function
that it replaces with its contract, replaces them, and then serves. One module, one concern; ``start``
is the list of them, ``patched`` the list of what they replace.

It relies on the inside of ministack, which moves quickly: that is why the release is pinned, why a
missing attribute or another signature stops the start with its name, and why a conformance suite
(``overlay/tests``) covers every behaviour added here.
"""

PINNED_VERSION = "1.5.33"
"""The only ministack release the overlay starts on; the same one as in ``requirements.in``."""
