"""Judges user data, install scripts, build specifications and units with shellcheck, shfmt and systemd.

Each program, folder, unit, user and plugin that a script uses must be on its machine: by the extract of Amazon Linux
2023, by the recipe of its image, or because a script makes it.
"""

import re
from collections.abc import Callable
from dataclasses import replace as changed
from pathlib import Path, PurePosixPath

from referee import units
from referee.context import Context
from referee.machines_of_scripts import BUILTINS, Machine, environment, load_extract
from referee.planting import replace
from referee.script_sources import Source, sources
from referee.shell import UNKNOWN, Command, NotParsed, Script, parse, shellcheck
from referee.verdict import Verdict

# The options of programs that take a file.
_FILE_OPTIONS = {"--ca", "--ca-cert", "--ca-key", "--in", "--out", "-f"}
_FILE = re.compile(r"(?!https?://)[^-/=\0][^=\0]*(/|\.(conf|crt|jks|json|key|p12|pem|txt|ya?ml|zip)$).*")
_ELSEWHERE = re.compile(r"(https?|ftp)://(?!localhost\b|127\.|169\.254\.)[^\0]")
_UNIT_VERBS = {"disable", "enable", "mask", "reload", "restart", "start", "stop", "try-restart", "unmask"}
_NO_PLUGIN = {"else", "if", "filter", "input", "output"}


def judge(context: Context) -> Verdict:
    """Judges every script of the tree."""
    judging = _Judging(context)
    for source in sources(context):
        judging.read(source)
    for source, script in judging.scripts:
        judging.judge(source, script)
    units.judge(context, judging.units(), judging.verdict)
    return judging.verdict


class _Judging:
    def __init__(self, context: Context) -> None:
        self.context, self.verdict, self.extract = context, Verdict(), load_extract(context)
        self.programs = context.tools / "venv" / "bin"
        self.scripts: list[tuple[Source, Script]] = []
        self.machines: dict[str, Machine] = {}

    def read(self, source: Source) -> None:
        """Parses a script and those that it writes, and checks each with shellcheck."""
        self.verdict.judged("scripts")
        self.verdict.judged("lines", source.text.count("\n"))
        given = {**(environment(self.context, source.image) if source.image else {}), **dict(source.given)}
        try:
            script = parse(source.text, self.programs / "shfmt", source.dialect, given)
        except NotParsed as refused:
            self.verdict.find(source.place(1), f"is no shell: {refused}")
            return
        for remark in shellcheck(source.text, self.programs / "shellcheck", source.dialect):
            self.verdict.find(source.place(remark.line), remark.text)
        self.scripts.append((source, script))
        for written in script.written:
            content = written.content or ""
            if content.startswith("#!"):
                text, line = content.replace(UNKNOWN, "unknown"), written.content_line
                below = tuple(int(source.place(line + n).rsplit(":", 1)[1]) for n in range(text.count("\n")))
                self.read(changed(source, text=text, lines=below))

    def machine(self, image: str) -> Machine:
        """Returns the content of an image: from its recipe, or from the extract."""
        if image not in self.machines:
            machine = self.machines[image] = Machine()
            known = self.extract["images"].get(image, self.extract["images"]["base"])
            for package in known["packages"]:
                machine.install(package, self.extract)
            for source, script in self.scripts:
                if _is_recipe(source) and source.image in (image, "common"):
                    machine.run(script, self.extract)
        return self.machines[image]

    def judge(self, source: Source, script: Script) -> None:
        """Judges the programs and files that a script uses, if its machine is known."""
        if source.image is None:
            return
        on = self.machine(source.image)
        machine = Machine(**{kind: set(things) for kind, things in vars(on).items()})
        for other, made in self.scripts:
            if (other.where, other.image) == (source.where, source.image):
                machine.run(made, self.extract)
        for package in sorted(machine.unknown - {""}):
            self.verdict.find("tests/referee/data/amazon-linux-2023.toml", f"says nothing of the package {package}")
        for command in script.commands:
            self._program(source, script, command, machine)
            self._arguments(source, command, machine)
            self._downloads(source, script, command)
        for written in script.written:
            self._file(source, written.line, written.path, machine)
            if re.fullmatch(r"/etc/logstash/conf\.d/[^/]+", written.path) and written.content:
                self._pipeline(source, written.content_line, written.content, machine)
            if written.path == "/etc/elasticsearch/elasticsearch.yml" and written.content:
                self._settings(source, written.content_line, written.content, machine)

    def _program(self, source: Source, script: Script, command: Command, machine: Machine) -> None:
        name = command.program
        if UNKNOWN in name or name in BUILTINS or name in script.functions:
            return
        self.verdict.judged("uses of programs")
        there = machine.programs | {
            str(PurePosixPath(known).name) for known in machine.programs if known.startswith("/usr/bin/")
        }
        if name not in there and PurePosixPath(name).name not in there:
            self.verdict.find(
                source.place(command.line), f"uses {name}, which neither the image {source.image} nor a script brings"
            )

    def _arguments(self, source: Source, command: Command, machine: Machine) -> None:
        words, place = command.words, source.place(command.line)
        name = PurePosixPath(command.program).name
        if any(command.program.startswith(folder) for folder in machine.changes_folder):
            self._absolute(place, command)
        if name == "systemctl":
            verb = next((word for word in words[1:] if not word.startswith("-")), "")
            named = (
                [word for word in words[words.index(verb) + 1 :] if not word.startswith("-")]
                if verb in _UNIT_VERBS
                else []
            )
            for unit in named:
                self._unit(place, unit, machine, source)
        elif name in ("cp", "mv", "ln") and words[-1].startswith("/"):
            self._file(source, command.line, words[-1] + "x" if words[-1].endswith("/") else words[-1], machine)
        elif name == "install" and "-d" not in words and "-D" not in words:
            self._file(source, command.line, words[-1], machine)
        if name == "chown":
            owner = next(word for word in words[1:] if not word.startswith("-"))
            self._users(place, owner.split(":"), machine)
        elif name == "install":
            self._users(place, [words[at + 1] for at, word in enumerate(words) if word in ("-o", "-g")], machine)

    def _downloads(self, source: Source, script: Script, command: Command) -> None:
        """Judges downloads: a package is signed, and anything else has a digest that the script verifies."""
        words, name = command.words, PurePosixPath(command.program).name
        addresses = [word for word in words[1:] if _ELSEWHERE.match(word)]
        if name == "packer" and "init" in words:
            self.verdict.find(source.place(command.line), "lets Packer download plugins, whose content is not verified")
        if name == "dnf" and "install" in words and addresses:
            self.verdict.find(
                source.place(command.line), f"installs {addresses[0]}: dnf checks no signature of a package by address"
            )
        if name in ("curl", "wget") and addresses:
            self.verdict.judged("downloads")
            # A key is compared by its fingerprint, which is a digest.
            proofs = {("sha256sum", "--check"), ("gpg", "--show-keys")}
            if not any(
                PurePosixPath(other.program).name == program and option in other.words
                for other in script.commands
                for program, option in proofs
            ):
                self.verdict.find(source.place(command.line), f"downloads {addresses[0]} and looks at no digest")

    def _absolute(self, place: str, command: Command) -> None:
        self.verdict.judged("calls of programs that change folder")
        for before, word in zip(command.words, command.words[1:], strict=False):
            if word.startswith(("/", UNKNOWN)):
                continue
            if before in _FILE_OPTIONS or (not word.startswith("-") and _FILE.fullmatch(word)):
                name = PurePosixPath(command.program).name
                self.verdict.find(place, f"gives {name} the relative path {word}; it changes to its own folder first")

    def _file(self, source: Source, line: int, path: str, machine: Machine) -> None:
        if not path.startswith("/") or UNKNOWN in str(PurePosixPath(path).parent):
            return
        self.verdict.judged("files")
        folder = str(PurePosixPath(path).parent)
        if folder not in machine.folders:
            self.verdict.find(
                source.place(line), f"writes {path}, but nothing makes the folder {folder} on {source.image}"
            )

    def _unit(self, place: str, unit: str, machine: Machine, source: Source) -> None:
        name = re.sub(r"@[^.]+", "@", unit.replace(UNKNOWN, "x")).removesuffix(".service")
        if name == "x":
            return
        self.verdict.judged("uses of units")
        if name not in machine.units:
            self.verdict.find(
                place, f"names the unit {unit}, which neither the image {source.image} nor a script brings"
            )

    def _users(self, place: str, names: list[str], machine: Machine) -> None:
        for name in names:
            self.verdict.judged("uses of users")
            if name not in machine.users and UNKNOWN not in name:
                self.verdict.find(place, f"names the user or group {name}, which no package makes")

    def _pipeline(self, source: Source, line: int, text: str, machine: Machine) -> None:
        section = ""
        for number, written in enumerate(text.splitlines()):
            for name in re.findall(r"(?:^|\{)\s*([a-z0-9_]+) \{", written):
                if name in ("input", "filter", "output"):
                    section = name
                elif name not in _NO_PLUGIN:
                    self.verdict.judged("plugins of pipelines")
                    if f"{section}-{name}" not in machine.plugins:
                        place = source.place(line + number)
                        self.verdict.find(place, f"uses logstash-{section}-{name}, which {source.image} does not have")

    def _settings(self, source: Source, line: int, text: str, machine: Machine) -> None:
        for number, written in enumerate(text.splitlines()):
            for setting, plugin in self.extract["packages"]["elasticsearch"]["settings"].items():
                if written.startswith(setting):
                    self.verdict.judged("settings of a plugin")
                    if plugin not in machine.plugins:
                        place = source.place(line + number)
                        self.verdict.find(
                            place, f"sets {setting} of the plugin {plugin}, which {source.image} does not have"
                        )

    def units(self) -> list[units.Unit]:
        """Returns every unit that a script writes, and every part of one."""
        found = []
        for source, script in self.scripts:
            for written in script.written:
                if written.path.startswith("/etc/systemd/system/") and written.content:
                    text = written.content.replace(UNKNOWN, "/usr/bin/unknown")
                    found.append(
                        units.Unit(
                            source.image or "", source.where, source.place(written.content_line), written.path, text
                        )
                    )
        return found


def _is_recipe(source: Source) -> bool:
    return source.where.startswith("infra/images/")


def _common(copy: Context) -> Path:
    return copy.root / "infra" / "images" / "common"


def _elasticsearch(copy: Context) -> Path:
    return copy.root / "infra" / "log-stack" / "elasticsearch" / "template.yaml"


def _recipe(copy: Context, name: str) -> Path:
    return copy.root / "infra" / "images" / name / "install.sh"


def _target_account(copy: Context) -> Path:
    return copy.root / "infra" / "target-account" / "template.yaml"


def _replaced(file: Callable[[Context], Path], old: str, new: str, named: str) -> Callable[[Context], str]:
    """Returns a mistake: a file with another text."""

    def plant(copy: Context) -> str:
        replace(file(copy), old, new)
        return named

    return plant


def _base(copy: Context) -> Path:
    return _common(copy) / "base.sh"


def _health(copy: Context) -> Path:
    return _common(copy) / "health.sh"


def _of_logstash(copy: Context) -> Path:
    return _recipe(copy, "logstash")


def _of_elasticsearch(copy: Context) -> Path:
    return _recipe(copy, "elasticsearch")


PLANTED = [
    ("a program that user data uses is not installed", _replaced(_base, " jq ", " ", "uses jq")),
    (
        "an image lacks what its component configures",
        _replaced(_of_elasticsearch, ' "kibana-${ELASTIC_VERSION}"', "", "/etc/kibana"),
    ),
    (
        "a plugin that one engine alone needs is not installed",
        _replaced(_of_logstash, " logstash-output-opensearch", " logstash-output-loki", "output-opensearch"),
    ),
    (
        "a setting is of a plugin that is not installed",
        _replaced(_of_elasticsearch, "--batch discovery-ec2", "--batch repository-s3", "discovery-ec2"),
    ),
    (
        "a relative path is given to a program that changes its folder",
        _replaced(_elasticsearch, "--out $etc/ca.zip", "--out ca.zip", "relative path ca.zip"),
    ),
    (
        "a variable stands without quotes in a script within a script",
        _replaced(_health, 'rm -f "${count_file}"', "rm -f ${count_file}", "SC2086"),
    ),
    (
        "a build uses a program that is not in its image",
        _replaced(_target_account, "jq '{region:", "yq '{region:", "uses yq"),
    ),
    (
        "a build lets Packer download a plugin",
        _replaced(
            _target_account,
            "- packer plugins install",
            "- packer init . && packer plugins install",
            "lets Packer download",
        ),
    ),
    (
        "a recipe installs a package by its address",
        _replaced(_base, " logrotate ", " https://example.com/logrotate.rpm ", "dnf checks no signature"),
    ),
    (
        "a unit is started that no script writes",
        _replaced(
            _elasticsearch, "enable --now log-metrics.timer", "enable --now log-metric.timer", "log-metric.timer"
        ),
    ),
    (
        "a unit has a key that systemd does not know",
        _replaced(_health, "OnUnitActiveSec=", "OnUnitActivSec=", "OnUnitActivSec"),
    ),
    (
        "a service starts no program",
        _replaced(_elasticsearch, "ExecStart=/usr/local/bin/log-metrics\\n", "", "log-metrics.service"),
    ),
    (
        "a file belongs to a user that no package makes",
        _replaced(_of_logstash, "-o logstash -g logstash", "-o logstash -g wheels", "wheels"),
    ),
]
