"""Finds downloads of builds and of CI that no digest pins: what is fetched today may be something else tomorrow."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Folders and files whose code downloads for a build, for the local cloud or for CI.
_PLACES = (
    ".ci/",
    ".github/",
    "cli/",
    "examples/",
    "functions/",
    "infra/",
    "justfile",
    "local/",
    "tests/referee/referee/",
)
# The proof may be a few lines away, as in a command that is spread over lines.
_NEAR = 12
_COMMENT = re.compile(r"\s*(#|//|\*)")
# Addresses of the machine itself are no downloads.
_ELSEWHERE = r"['\"]?https?://(?!127\.|localhost|\[::1\]|169\.254\.)"
_CHECKED = r"sha256sum.* --check|sha512sum.* --check|--check .*sha256sum|gpg .*--show-keys"


@dataclass(frozen=True)
class _Rule:
    """A way to download, and what pins it."""

    name: str
    download: re.Pattern[str]
    # None if no form of the command pins what it downloads.
    proof: re.Pattern[str] | None
    remedy: str

    def finds(self, lines: list[str], at: int) -> bool:
        """Returns true if line `at` downloads without a digest."""
        if not self.download.search(lines[at]):
            return False
        near = "\n".join(lines[max(0, at - _NEAR) : at + _NEAR + 1])
        return self.proof is None or not self.proof.search(near)


def _rule(name: str, download: str, proof: str | None, remedy: str) -> _Rule:
    return _Rule(name, re.compile(download), re.compile(proof) if proof else None, remedy)


_RULES = (
    _rule(
        "pip",
        r"\bpip3?['\"]?,?\s+['\"]?install\b|^\s*['\"]pip['\"],$",
        r"--require-hashes",
        "use --require-hashes with a file of hashes",
    ),
    _rule(
        "npm",
        r"\bnpm['\"]?,?\s+['\"]?(install|i|exec|update)\b|\bnpx\b|\b(yarn|pnpm) (add|install|dlx)\b",
        None,
        "use npm ci with a lock file",
    ),
    _rule(
        "cargo",
        r"\bcargo['\"]?,?\s+['\"]?(install|binstall)\b",
        r"(?s)(?=.*--locked)(?=.*sha256sum.* --check)",
        "use --locked, and compare the digest of the crate",
    ),
    _rule(
        "address",
        rf"\b(curl|wget|rpm|dnf|yum|urlopen|urlretrieve)\b.*{_ELSEWHERE}|\bgpgkey={_ELSEWHERE}",
        _CHECKED,
        "compare it with sha256sum --check, or a key with its fingerprint",
    ),
    _rule("bucket", r"\baws s3 (cp|sync)\b.*['\"]?s3://", _CHECKED, "compare it with sha256sum --check"),
    _rule("unsigned", r"\bgpgcheck=0\b|--nogpgcheck\b|--nosignature\b", _CHECKED, "compare it with sha256sum --check"),
    _rule(
        "installer",
        r"\b(gem|go|logstash-plugin|elasticsearch-plugin|pipx|uv tool) install\b|\buvx\b|\bpacker init\b|\bgit clone\b.*://",
        None,
        "download a file and compare its digest",
    ),
    _rule("action", r"\buses:\s*(?!\./)\S+@(?![0-9a-f]{40}\b)", None, "name the commit of the action"),
    _rule(
        "container",
        r"\bdocker (pull|run)\b|^\s*FROM\s|^\s*(container|image):\s*[a-z0-9.-]+[/:][a-z0-9./:-]+$",
        r"@sha256:[0-9a-f]{64}",
        "name the digest of the container",
    ),
)


def judge(root: Path, limits: dict[str, Any]) -> list[str]:
    """Returns a sentence for each download that neither a digest nor limits.toml excuses, and for each idle excuse."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True, capture_output=True, text=True)
    paths = [path for path in listed.stdout.split("\0") if path.startswith(_PLACES) and not path.endswith(".md")]
    excused = {(entry["file"], entry["rule"]) for entry in limits.get("downloads", [])}
    found, used = [], set()
    for path in paths:
        for rule, line in _of_file(root, path):
            if (path, rule) in excused:
                used.add((path, rule))
            else:
                found.append(line)
    return found + [f"limits.toml: {path} has no download by {rule} any more" for path, rule in sorted(excused - used)]


def _of_file(root: Path, path: str) -> list[tuple[str, str]]:
    try:
        text = (root / path).read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return []
    return lines(path, text)


def lines(path: str, text: str) -> list[tuple[str, str]]:
    """Returns the rule and a sentence for each line of `text` that downloads without a digest."""
    all_lines = text.splitlines()
    return [
        (rule.name, f"{path}:{number + 1}: a download without a digest ({rule.name}): {rule.remedy}")
        for number, line in enumerate(all_lines)
        if not _COMMENT.match(line)
        for rule in _RULES
        if rule.finds(all_lines, number)
    ]
