"""The machine of a script: its image, the packages that recipes install, and the files that scripts make."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from referee.context import Context
from referee.shell import UNKNOWN, Script

# The programs that bash runs itself.
BUILTINS = set(
    ". : [ alias break builtin cd command continue declare echo eval exec exit export false getopts local printf pwd"
    " read readonly return set shift shopt source test trap true type ulimit umask unset wait".split()
)


@dataclass
class Machine:
    """The programs and files that a script may use."""

    programs: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    plugins: set[str] = field(default_factory=set)
    # The folders of programs that first change to another folder.
    changes_folder: set[str] = field(default_factory=set)
    # The installed packages that the extract does not know.
    unknown: set[str] = field(default_factory=set)

    def install(self, package: str, extract: dict) -> None:
        """Adds the content of a package."""
        holds = extract["packages"].get(package)
        if holds is None:
            self.unknown.add(package)
            return
        for kind in ("programs", "folders", "units", "users", "plugins"):
            getattr(self, kind).update(holds.get(kind, []))
        if "changes_folder" in holds:
            self.changes_folder.add(holds["changes_folder"])

    def run(self, script: Script, extract: dict) -> None:
        """Adds what a script installs and makes."""
        for command in script.commands:
            words = command.words
            match PurePosixPath(command.program).name:
                case "dnf" if "install" in words:
                    for package in installed(words):
                        self.install(package, extract)
                case "mkdir":
                    self.folders.update(word for word in words[1:] if word.startswith("/"))
                case "install":
                    self._installs(words)
                case "elasticsearch-plugin" if "install" in words:
                    self.plugins.update(
                        word for word in words[words.index("install") + 1 :] if not word.startswith("-")
                    )
                case "logstash-plugin" if "install" in words:
                    self.plugins.update(
                        word.removeprefix("logstash-") for word in words if word.startswith("logstash-")
                    )
        for written in script.written:
            self.programs.add(written.path)
            unit = re.fullmatch(r"/etc/systemd/system/([^/]+)", written.path)
            if unit:
                self.units.add(unit[1].removesuffix(".service"))

    def _installs(self, words: list[str]) -> None:
        arguments = [word for word in words[1:] if word.startswith("/")]
        if "-d" in words:
            self.folders.update(arguments)
        elif arguments:
            self.programs.add(arguments[-1])
            if "-D" in words:
                self.folders.add(str(PurePosixPath(arguments[-1]).parent))


def installed(words: list[str]) -> list[str]:
    """Returns the packages that a call of dnf installs, without their versions."""
    names = [word for word in words[words.index("install") + 1 :] if not word.startswith("-")]
    names = [re.sub(r".*/([a-z-]+)\.rpm$", r"\1", name) for name in names]
    return [re.sub(rf"-(\d+\.|{UNKNOWN}).*$", "", name) for name in names]


def load_extract(context: Context) -> dict:
    """Returns the extract of the content of the machines."""
    return tomllib.loads((context.data / "amazon-linux-2023.toml").read_text(encoding="utf-8"))


def environment(context: Context, recipe: str) -> dict[str, str]:
    """Returns the environment that a recipe gives its scripts, by its template and the defaults of its variables."""
    folder = context.root / "infra" / "images" / recipe
    template = folder / "build.pkr.hcl"
    if not template.exists():
        return {}
    defaults = tomllib.loads((folder / "variables.toml").read_text(encoding="utf-8")).get("default", {})
    given = re.findall(r'"([A-Z_]+)=(?:\$\{var\.([a-z_]+)\}|([^"$]*))"', template.read_text(encoding="utf-8"))
    return {name: str(defaults.get(variable, UNKNOWN)) if variable else plain for name, variable, plain in given}
