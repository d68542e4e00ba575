"""Finds causes that a message flattens: the text of an error is kept, and its own causes are lost.

A failure keeps the error that caused it (`caused_by`, `at`), a variant of an error has it as its source, and the
boundary shows the whole chain once (`chain`). The parameter of `map_err` is an error, as is one called `error` or
`failure`. A reason that is only a text is called `why`. `problems.add` may show an error: the parser of a word has no
cause.
"""

import re

from sources import Crate, Source

_ERROR = r"(?:error|err|e|failure|cause|source|lost|stopped)"
_LITERAL = r"(?<!-> )(?<!for )(?<!impl )(?<!struct )\bFailure \{"
_VARIANT = r"[A-Z]\w*::[A-Z]\w*(?:\(| \{)"
_CALL = re.compile(
    rf"\b(?:Failure::\w+|Unknown::because|Problem::at|io::Error::\w+|tracing::\w+!)\(|{_LITERAL}|(?<![\w:]){_VARIANT}"
)
_MAPPED = re.compile(r"\bmap_err\((?=\|(\w+)(?:: [\w:]+)?\| (?:format!\(|(?:\w+)\.to_string\(\)))")
_ATTRIBUTE = re.compile(r"#\[error\((.*?)\)\]\s*((?:///[^\n]*\s*)*[^\n]*)", re.DOTALL)
_PAIRS = {"(": ")", "{": "}"}


def _flattened(name: str) -> re.Pattern[str]:
    """Returns the pattern of a text that holds the error called `name`."""
    return re.compile(rf"\{{{name}(?::[^}}]*)?\}}|\b{name}(?:\.inner\(\))?\.to_string\(\)|[%?]{name}\b")


_FLATTENED = _flattened(_ERROR)


def judge(crate: Crate) -> list[str]:
    """Returns a sentence for each flattened cause of a crate outside tests."""
    found = []
    for file in crate.files:
        if not file.is_test:
            text = "\n".join(file.product())
            found += [
                _sentence(file, text, place) for place in sorted({*_calls(text), *_mapped(text), *_attributes(text)})
            ]
    return found


def _sentence(file: Source, text: str, place: int) -> str:
    number = text.count("\n", 0, place) + 1
    return f"{file.path}:{number}: the message flattens its cause; keep it with `caused_by`, and show it with `chain`"


def _calls(text: str) -> list[int]:
    """Returns the places of calls whose arguments hold the text of an error."""
    found = []
    for call in _CALL.finditer(text):
        closing = _closing(text, call.end() - 1)
        is_kept = re.match(r"\)\s*\.with_causes_of\(", text[closing:])
        if not is_kept and _FLATTENED.search(text, call.end(), closing):
            found.append(call.start())
    return found


def _mapped(text: str) -> list[int]:
    """Returns the places where `map_err` replaces an error by its text."""
    return [
        call.start()
        for call in _MAPPED.finditer(text)
        if call.group(1) != "why" and _flattened(call.group(1)).search(text, call.end(), _closing(text, call.end() - 1))
    ]


def _closing(text: str, opening: int) -> int:
    """Returns the place of the bracket that closes the one at `opening`."""
    opens, closes, depth = text[opening], _PAIRS[text[opening]], 0
    for index in range(opening, len(text)):
        depth += (text[index] == opens) - (text[index] == closes)
        if depth == 0:
            return index
    return len(text)


def _attributes(text: str) -> list[int]:
    """Returns the places of error messages that repeat the source of the error."""
    return [
        attribute.start()
        for attribute in _ATTRIBUTE.finditer(text)
        if re.search(r"\{source\b", attribute.group(1))
        or ("{0}" in attribute.group(1) and re.search(r"#\[(?:from|source)\]|\([\w:]*Error\b", attribute.group(2)))
    ]
