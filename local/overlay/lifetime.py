"""Nothing survives the parent: not this process, not the Lambda processes it started.

The parent holds our standard input open and writes nothing. When it ends, in whatever way, the
kernel closes the pipe and we read the end of file. We then kill our whole process group, which is
ours alone and holds every Lambda child. SIGTERM and SIGINT do the same: the emulator keeps its
state in memory, so there is nothing to save but the end of a recording.
"""

import os
import shutil
import signal
import sys
import threading


def _end(*_: object) -> None:
    # Not before the release was checked: it reaches into ministack.
    if recording := sys.modules.get("overlay.recording"):
        recording.end()
    if temporary := os.environ.get("LOCKSTEP_TEMPORARY"):
        shutil.rmtree(temporary, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _watch(pipe: int) -> None:
    while os.read(pipe, 4096):
        pass
    _end()


def install() -> None:
    """Become a process group of our own and end it with the parent."""
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    # Lambda processes inherit descriptor 0: they get an empty one, we keep the parent's pipe.
    pipe = os.dup(0)
    os.set_inheritable(pipe, False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=_end, name="overlay-end").start())
    threading.Thread(target=_watch, args=(pipe,), name="overlay-lifetime", daemon=True).start()
