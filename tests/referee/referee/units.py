"""Judges systemd's units with systemd-analyze, in a root of stubs: ours are real, a vendor's are empty."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from referee.context import Context
from referee.verdict import Verdict

_TARGETS = (
    "basic graphical multi-user network network-online paths remote-fs shutdown slices sockets sysinit timers umount"
    " local-fs initrd-switch-root time-sync time-set"
).split()


@dataclass(frozen=True)
class Unit:
    """A unit, or a part of one, that a script writes on an image."""

    image: str
    # The file that writes it: units of two files meet only on an instance.
    file: str
    place: str
    path: str
    text: str


def judge(context: Context, units: list[Unit], verdict: Verdict) -> None:
    """Judges the units of each image, and of each component on it, with systemd."""
    program = systemd_analyze(context)
    if program is None:
        verdict.note(f"{len(units)} units were not judged: there is no systemd-analyze here (apt-get install systemd)")
        return
    recipes = [unit for unit in units if unit.file.startswith("infra/images/")]
    for file in sorted({unit.file for unit in units if unit not in recipes}):
        own = [unit for unit in units if unit.file == file]
        images = {unit.image for unit in own} | {"common"}
        _judge_together(program, [unit for unit in recipes if unit.image in images] + own, verdict)
    for image in sorted({unit.image for unit in recipes}):
        _judge_together(program, [unit for unit in recipes if unit.image in (image, "common")], verdict)


def _judge_together(program: list[str], units: list[Unit], verdict: Verdict) -> None:
    with tempfile.TemporaryDirectory(prefix="lockstep-units-") as scratch:
        root = Path(scratch)
        ours = {unit.path: unit for unit in units}
        for unit in ours.values():
            _write(root, unit.path, unit.text)
        _stubs(root, units)
        names = sorted({Path(path).name for path in ours if path.count("/") == 4})
        extended = sorted({Path(path).parent.name.removesuffix(".d") for path in ours if path.count("/") == 5})
        extended = [name for name in extended if name.rsplit(".", 1)[-1] in ("service", "timer", "socket")]
        verdict.judged("units", len(ours))
        done = subprocess.run(
            [*program, "verify", "--man=no", "--generators=no", f"--root={root}", *names, *extended],
            capture_output=True,
            text=True,
            check=False,
            env={"SYSTEMD_LOG_LEVEL": "warning", "PATH": "/usr/bin:/bin"},
        )
        # The exit status says too little: systemd does not count an unknown key as a failure.
        for line in (done.stderr + done.stdout).splitlines():
            said = line.replace(str(root), "")
            verdict.find(_place(said, ours), f"systemd-analyze: {said}")


def _place(said: str, ours: dict[str, Unit]) -> str:
    for path, unit in ours.items():
        if path in said or said.startswith((Path(path).name, Path(path).parent.name.removesuffix(".d") + ":")):
            return unit.place
    return "units"


def _stubs(root: Path, units: list[Unit]) -> None:
    for target in _TARGETS:
        _write(root, f"/usr/lib/systemd/system/{target}.target", "[Unit]\nDescription=Stub\n")
    _program(root, "/usr/bin/true")
    for unit in units:
        vendor = Path(unit.path).parent.name.removesuffix(".d")
        if unit.path.count("/") == 5 and vendor.endswith(".service"):
            _write(root, f"/usr/lib/systemd/system/{vendor}", "[Service]\nExecStart=/usr/bin/true\n")
        elif unit.path.count("/") == 5 and vendor.endswith(".timer"):
            _write(root, f"/usr/lib/systemd/system/{vendor}", "[Timer]\nOnCalendar=daily\n")
            service = vendor.replace(".timer", ".service")
            _write(root, f"/usr/lib/systemd/system/{service}", "[Service]\nExecStart=/usr/bin/true\n")
    for path in _programs(units):
        _program(root, path)


def _programs(units: list[Unit]) -> Iterator[str]:
    """Yields the programs of units: the judge of scripts checks that they exist."""
    for unit in units:
        yield from re.findall(r"^Exec\w+=[-@:+!]*(/\S+)", unit.text, re.MULTILINE)


def _write(root: Path, path: str, text: str) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _program(root: Path, path: str) -> None:
    _write(root, path, "#!/bin/sh\n")
    (root / path.lstrip("/")).chmod(0o755)


def systemd_analyze(context: Context) -> list[str] | None:
    """Returns the command of systemd-analyze: the machine's own, or one from Debian's package in the tools' folder."""
    own = shutil.which("systemd-analyze")
    if own:
        return [own]
    folder = context.tools / "systemd"
    if not folder.exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        _unpack(folder)
    program = folder / "usr" / "bin" / "systemd-analyze"
    if not program.exists():
        return None
    libraries = sorted({str(found.parent) for found in folder.rglob("*.so*")})
    called = ["/usr/bin/env", f"LD_LIBRARY_PATH={':'.join(libraries)}", str(program)]
    works = subprocess.run([*called, "--version"], capture_output=True, check=False).returncode == 0
    return called if works else None


def _unpack(folder: Path) -> None:
    """Unpacks Debian's systemd without installing it; leaves no file if apt-get cannot reach it."""
    with tempfile.TemporaryDirectory(prefix="lockstep-systemd-") as scratch:
        wanted = [
            "systemd",
            "libsystemd-shared",
            "libsystemd0",
            "libapparmor1",
            "libseccomp2",
            "libkmod2",
            "libip4tc2",
            "libfdisk1",
        ]
        for package in wanted:
            subprocess.run(["apt-get", "download", "-q", package], cwd=scratch, capture_output=True, check=False)
        for archive in Path(scratch).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], capture_output=True, check=False)
