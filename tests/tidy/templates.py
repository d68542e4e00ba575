"""Judges the CloudFormation templates: phrases, words, and descriptions that open with a question word."""

import re
import subprocess
from pathlib import Path
from typing import Any

from glossary import Forbidden

_DESCRIPTION = re.compile(r"\s*(?:- )?\w*Description: (.*)")
_OPENER = re.compile(r"\"?(What|Whether|Who|Whom|Whose|How|Where|Why|When|Which|That)\b")


def judge(root: Path, limits: dict[str, Any], words: list[Forbidden]) -> list[str]:
    """Returns a sentence for each line of a template that breaks a rule of docs/STYLE.md."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "*.yaml"], check=True, capture_output=True, text=True)
    paths = [path for path in listed.stdout.split() if (root / path).exists()]
    texts = {path: (root / path).read_text(encoding="utf-8") for path in paths}
    return [
        line
        for path, text in texts.items()
        if text.startswith("AWSTemplateFormatVersion")
        for line in lines(path, text, limits, words)
    ]


def lines(path: str, text: str, limits: dict[str, Any], words: list[Forbidden]) -> list[str]:
    """Returns a sentence for each line of `text` that breaks a rule."""
    phrases = re.compile(r"\b(" + "|".join(limits["phrases"]) + r")\b", re.IGNORECASE)
    found = []
    all_lines = text.splitlines()
    for number, line in enumerate(all_lines, 1):
        if hit := phrases.search(line):
            found.append(f"{path}:{number}: '{hit.group(0)}' is a listed phrase; docs/STYLE.md says how to write it")
        found += [
            f"{path}:{number}: '{word.word}' is a word we do not use; GLOSSARY.md says {word.instead}"
            for word in words
            if "text" in word.scopes and re.search(rf"\b{re.escape(word.word)}\b", line, re.IGNORECASE)
        ]
        description = _DESCRIPTION.match(line)
        if description is None:
            continue
        opening = description.group(1)
        if opening.startswith((">", "|")):
            opening = all_lines[number].strip() if number < len(all_lines) else ""
        if _OPENER.match(opening):
            found.append(f"{path}:{number}: the description opens with a question word; see docs/STYLE.md")
    return found
