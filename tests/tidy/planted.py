"""Plants one mistake for each check, and reports those that are not found."""

from pathlib import Path
from tempfile import TemporaryDirectory

import checks
import documents
import downloads
import glossary
import templates
from sources import Crate, Source

_GLOSSARY = """
## Words we do not use

| not | in | say |
|---|---|---|
| `Cloud` | type | `Emulator` |
| `inbox` | type part, command, text | webhook delivery |
"""

_LONG = "fn long() {\n" + "    work();\n" * 90 + "}"
_LINE = "// " + "Deletes the stack. " * 7
_NAME = "a_" + "very_" * 20 + "long_name"

_MISTAKES = {
    "a doc comment that opens with a question word": ("/// What a stack is.\nstruct Stack;", "question word"),
    "a listed phrase": ("// Nobody is told.\nstruct Stack;", "listed phrase"),
    "a line of comments that is too long": (_LINE, "the line of comments"),
    "a name of a test that is too long": (f"#[test]\nfn {_NAME}() {{}}", "the name of the test"),
    "a type with a forbidden name": ("pub struct Cloud;", "the type Cloud"),
    "a type with a forbidden part": ("enum InboxState {}", "the type InboxState"),
    "a function that is too long": (_LONG, "the function long"),
    "a cause in the message of a failure": (
        'read().map_err(|error| Failure::bug(format!("no file: {error}")))',
        "flattens",
    ),
    "a cause as the message of a failure": ("read().map_err(|error| Failure::bug(error.to_string()))", "flattens"),
    "a cause in a log line": ('tracing::warn!("no file: {failure}");', "flattens"),
    "a cause in the message of an error": ('#[error("no file: {source}")]\nFile { source: io::Error },', "flattens"),
    "a first cause in the message of an error": ('#[error("no file: {0}")]\nFile(#[source] io::Error),', "flattens"),
    "an unmarked cause in the message of an error": ('#[error("no file: {0}")]\nFile(io::Error),', "flattens"),
    "a cause as a part of an error": ("read().map_err(|e| ArchiveError::Corrupt(e.to_string()))", "flattens"),
    "a cause as a field of an error": (
        "read().map_err(|error| HttpError::Unreadable { reason: error.to_string() })",
        "flattens",
    ),
    "a cause as a text": ("read().map_err(|lack| lack.to_string())", "flattens"),
    "a cause in a text": ('read().map_err(|lack: io::Error| format!("no file: {lack}"))', "flattens"),
    "a cause in the problem of a file": (
        "read().map_err(|error| Problem::at(file, None, error.to_string()))",
        "flattens",
    ),
    "an option with a forbidden word": ("struct Arguments {\n    pub inbox: String,\n}", "the option inbox"),
}


def missed(limits: dict) -> list[str]:
    """Returns a sentence for each mistake that no check finds, and for each finding in a text without mistakes."""
    words = glossary.forbidden(_GLOSSARY)
    strict = {**limits, "allowed": []}
    found = []
    for mistake, (text, sentence) in _MISTAKES.items():
        crate = Crate("cli", [Source("cli/src/commands/planted.rs", text.splitlines())])
        if not any(sentence in line for line in checks.judge(crate, strict, words)):
            found.append(f"no check finds {mistake}")
    kept = 'read().map_err(|error| Failure::bug("no file").caused_by(&error))'
    shown = 'read().map_err(|error| format!("no file: {}", chain(&error)))'
    said = 'read().map_err(|why| format!("no file: {why}"))'
    address = f"/// <https://docs.aws.amazon.com/{'a' * 120}>"
    lines = ["/// Deletes the stack.", address, "pub fn delete() {}", kept, shown, said]
    lines += ["#[error(transparent)]", "File(#[from] io::Error),"]
    plain = Crate("cli", [Source("cli/src/commands/plain.rs", lines)])
    found += [f"a plain text is refused: {line}" for line in checks.judge(plain, strict, words)]
    return found + _documentation(strict) + _binaries(strict) + _links() + _templates(strict, words) + _downloads()


def _documentation(limits: dict) -> list[str]:
    lines = ["/// ```text", "/// a -> b", "/// ```", "/// ```", "/// assert!(true);", "/// ```", "pub fn f() {}"]
    crate = Crate("cli", [Source("cli/src/planted.rs", lines)], tests_documentation=False)
    found = checks.judge(crate, limits, [])
    is_found = len(found) == 1 and found[0].startswith("cli/src/planted.rs:4: no test runs the code")
    return [] if is_found else [f"documentation: {found}"]


def _binaries(limits: dict) -> list[str]:
    lines = ["#[test]", "fn never_runs() {}"]
    crate = Crate("cli", [Source("cli/src/main.rs", lines)], tests_binaries=False)
    found = checks.judge(crate, limits, [])
    is_found = len(found) == 1 and "never_runs is in a binary" in found[0]
    return [] if is_found else [f"binaries: {found}"]


def _links() -> list[str]:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "other.md").write_text("# One heading\n", encoding="utf-8")
        text = "[a](gone.md) [b](other.md#no-heading) [c](other.md#one-heading) [d](https://example.com)"
        found = documents.links(root, "a.md", text)
    wanted = [
        "a.md:1: the link to gone.md points to no file",
        "a.md:1: the link to other.md#no-heading points to no heading",
    ]
    return [] if found == wanted else [f"links: {found}"]


def _templates(limits: dict, words: list[glossary.Forbidden]) -> list[str]:
    text = "\n".join(
        [
            "Description: The inbox.",
            "Parameters:",
            "  # Nobody reads this.",
            "  Size:",
            "    Description: How large it is.",
            "    AlarmDescription: >-",
            "      What happened.",
            "      What is second is no opening.",
        ]
    )
    found = templates.lines("a.yaml", text, limits, words)
    places = [line.partition(": ")[0] for line in found]
    return [] if places == ["a.yaml:1", "a.yaml:3", "a.yaml:5", "a.yaml:6"] else [f"templates: {found}"]


_DOWNLOADS = {
    "pip": "pip install ruff",
    "npm": "npm install asl-validator@4.0.0 --no-package-lock",
    "cargo": "cargo install cargo-deny",
    "address": "curl -fL -o tool.zip https://example.com/tool.zip",
    "bucket": 'aws s3 cp "s3://tools/packer.zip" /tmp/packer.zip',
    "unsigned": "rpm --install --nosignature /tmp/plugin.rpm",
    "installer": "packer init .",
    "action": "      - uses: actions/checkout@v7",
    "container": "    container: rust:1.95",
}
_PINNED = """
python -m pip install --require-hashes --requirement requirements.txt
npm ci
curl --silent http://127.0.0.1:9600/_node/stats
curl -fL -o tool.zip https://example.com/tool.zip
echo "$digest  tool.zip" | sha256sum --check --strict
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
# pip install ruff
"""


def _downloads() -> list[str]:
    found = [f"downloads: {line}" for _, line in downloads.lines("pinned.sh", _PINNED)]
    for rule, text in _DOWNLOADS.items():
        hits = [hit for hit, _ in downloads.lines("planted.sh", text)]
        if hits != [rule]:
            found.append(f"downloads: {text} is found by {hits} instead of {rule}")
    return found
