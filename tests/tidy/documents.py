"""Judges the documents: links and headings that do not exist, and forbidden words."""

import re
import subprocess
from pathlib import Path

from glossary import Forbidden

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def judge(root: Path, words: list[Forbidden]) -> list[str]:
    """Returns a sentence for each link or word of a document that is wrong."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "*.md"], check=True, capture_output=True, text=True)
    paths = [path for path in listed.stdout.split() if (root / path).exists()]
    texts = {path: (root / path).read_text(encoding="utf-8") for path in paths}
    found = [line for path, text in texts.items() for line in links(root, path, text)]
    return found + [line for path, text in texts.items() for line in _words(path, text, words)]


def links(root: Path, path: str, text: str) -> list[str]:
    """Returns a sentence for each link of a document whose file or heading does not exist."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for target in _LINK.findall(line):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, heading = target.partition("#")
            there = (root / path).parent / file if file else root / path
            if not there.exists():
                found.append(f"{path}:{number}: the link to {target} points to no file")
            elif heading and there.suffix == ".md" and heading not in anchors(there.read_text(encoding="utf-8")):
                found.append(f"{path}:{number}: the link to {target} points to no heading")
    return found


def anchors(text: str) -> set[str]:
    """Returns the anchors of the headings of a document, as GitHub makes them."""
    found: set[str] = set()
    in_code = False
    for line in text.splitlines():
        in_code ^= line.startswith("```")
        heading = re.match(r"#+\s+(.*)", line)
        if heading and not in_code:
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).replace("`", "").strip().lower()
            anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
            number = 1
            while anchor in found:
                anchor = f"{anchor.rstrip('0123456789-')}-{number}"
                number += 1
            found.add(anchor)
    return found


def _words(path: str, text: str, words: list[Forbidden]) -> list[str]:
    if path == "GLOSSARY.md":
        return []
    return [
        f"{path}:{number}: '{word.word}' is a word we do not use; GLOSSARY.md says {word.instead}"
        for number, line in enumerate(text.splitlines(), 1)
        for word in words
        if "text" in word.scopes and re.search(rf"\b{re.escape(word.word)}\b", line, re.IGNORECASE)
    ]
