"""``python -m overlay``: the emulator with what it lacks."""

from overlay.start import main

main()
