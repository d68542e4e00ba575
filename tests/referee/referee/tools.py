"""Installs the third-party judges, pinned with hashes, into a cache folder."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
_PINS = ("requirements.txt", "package.json", "package-lock.json")
# A change of this value, as of a pin, makes a new cache.
_FORMAT = "1"


def build_directory() -> Path:
    """Returns the folder that cargo builds in: that of the running tree, never that of a copy with a mistake."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()


def folder() -> Path:
    """Returns the folder of the tools that the pins name."""
    cache = os.environ.get("LOCKSTEP_CI_CACHE")
    base = Path(cache) if cache else build_directory() / "referee"
    digest = hashlib.sha256(_FORMAT.encode())
    for pin in _PINS:
        digest.update((HERE / pin).read_bytes())
    return base.resolve() / f"referee-{digest.hexdigest()[:12]}"


def python(tools: Path) -> Path:
    """Returns the Python of the tools."""
    return tools / "venv" / "bin" / "python"


def install(tools: Path) -> None:
    """Installs the missing tools. Two concurrent runs take turns."""
    tools.mkdir(parents=True, exist_ok=True)
    complete = tools / ".complete"
    with (tools / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.exists():
            return
        print(f"installs the referee's tools into {tools} (about 250 MB, once)", file=sys.stderr)
        _install_python_packages(tools)
        _install_node_packages(tools)
        complete.touch()


def _install_python_packages(tools: Path) -> None:
    shutil.rmtree(tools / "venv", ignore_errors=True)
    venv.create(tools / "venv", with_pip=True)
    _run(
        [
            str(python(tools)),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--require-hashes",
            "--requirement",
            str(HERE / "requirements.txt"),
        ],
        tools,
    )


def _install_node_packages(tools: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, tools / name)
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], tools)


def _run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[:4])} … failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
