"""Judges the sources of one crate."""

import re

import causes
from glossary import Forbidden
from sources import Crate, listed


def judge(crate: Crate, limits: dict, words: list[Forbidden]) -> list[str]:
    """Returns a sentence for each thing of the crate that exceeds a limit."""
    return [
        *_openers(crate, limits["openers"]),
        *_phrases(crate, limits),
        *_comments(crate, limits["comment_line"]),
        *_test_names(crate, limits["test_name_length"]),
        *_types(crate, words),
        *_functions(crate, limits["function_lines"]),
        *_commands(crate, words),
        *_documentation(crate),
        *_binaries(crate),
        *causes.judge(crate),
    ]


def _openers(crate: Crate, limit: float) -> list[str]:
    docs, openers = crate.docs(), crate.openers()
    share = 100 * len(openers) / len(docs) if docs else 0.0
    if share <= limit:
        return []
    first = ", ".join(openers[:5])
    return [f"{crate.name}: {share:.1f} % of its doc comments open with a question word, more than {limit} %: {first}"]


def _phrases(crate: Crate, limits: dict) -> list[str]:
    allowed = limits["allowed"]
    return [
        f"{place}: '{phrase}' is a listed phrase; docs/STYLE.md says how to write it"
        for place, phrase in listed(crate, limits)
        if not any(phrase.lower() == rule["phrase"] and place.partition(":")[0] in rule["files"] for rule in allowed)
    ]


def _comments(crate: Crate, limit: int) -> list[str]:
    return [
        f"{place}: the line of comments has {len(line)} characters, more than {limit}"
        for place, line in crate.lines()
        if len(line) > limit and line.lstrip().startswith("//") and "://" not in line
    ]


def _test_names(crate: Crate, limit: int) -> list[str]:
    return [
        f"{place}: the name of the test has {len(name)} characters, more than {limit}"
        for place, name in crate.tests()
        if len(name) > limit
    ]


def _types(crate: Crate, words: list[Forbidden]) -> list[str]:
    return [
        f"{place}: the type {name} uses '{word.word}'; GLOSSARY.md says {word.instead}"
        for place, name in crate.types()
        for word in words
        if word.names(name)
    ]


def _functions(crate: Crate, limit: int) -> list[str]:
    return [
        f"{place}: the function {name} has {lines} lines, more than {limit}"
        for place, name, lines in crate.functions()
        if lines > limit
    ]


def _documentation(crate: Crate) -> list[str]:
    if crate.tests_documentation:
        return []
    return [
        f"{place}: no test runs the code in this documentation; remove `doctest = false` from the manifest"
        for place in crate.examples()
    ]


def _binaries(crate: Crate) -> list[str]:
    if crate.tests_binaries:
        return []
    return [
        f"{place}: {name} is in a binary whose tests do not run; move it to the library"
        for place, name in crate.tests()
        if re.search(r"/src/(main|bin/\w+)\.rs:", place)
    ]


def _commands(crate: Crate, words: list[Forbidden]) -> list[str]:
    """Judges the commands and options of `lockstep`: variants and fields below a clap attribute."""
    if crate.name != "cli":
        return []
    found = []
    for file in crate.files:
        if "/commands" not in file.path:
            continue
        for number, line in enumerate(file.lines, 1):
            name = re.match(r"\s*(?:#\[(?:arg|command)\(.*(?:name|long) = \"([\w-]+)\"|pub (\w+): )", line)
            text = (name.group(1) or name.group(2)).replace("_", "-") if name else ""
            found += [
                f"{file.path}:{number}: the option {text} uses '{word.word}'; GLOSSARY.md says {word.instead}"
                for word in words
                if "command" in word.scopes and word.word in text.split("-")
            ]
    return found
