"""Generates texts of templates: each way to write a scalar or a collection, at each place where it can stand."""

from collections.abc import Iterator

_WORDS = """
true True yes No on Off y n null ~ 0 -7 42 123456789012 012345678901 0440 0o17 0x1F 0b11 1_000 +1 0.5 -2.25 .5
1. 1e3 2E-2 1.5e3 01.5 21:30 1:2:3 .inf -.inf .nan 2012-10-17 2001-12-14t21:59:43Z 10.0.0.0/16 t3.micro
arn:aws:s3:::shop https://shop.example/a?b=c#d a#b a:b -x - . = 99999999999999999999 ${AWS::Region} 50% a&b
a*b x!y é
""".split()

_QUOTED = (
    "''",
    '""',
    "'it''s'",
    '"a\\tb\\n\\u00e9\\x41\\/"',
    '"\\"quoted\\" \\\\ \\U0001F600"',
    "'null'",
    '"012"',
    "'a: b # c'",
    "' spaces '",
    '"ends with a line \\\n    continued"',
)

# A continuation line has `@` where the indentation of the place is put.
_CONTINUED = (
    "'first\n@second'",
    '"first\n@second"',
    "'first\n\n@second\n\n\n@third'",
    "'{\n@  \"retries\": 3\n@}'",
    '"a   \n@   b"',
    '"ends \\\n@here"',
    "{\n@  a: 1,\n@  b: [x, y]\n@}",
    "[\n@  a,\n@  b\n@]",
    "[a,\n@b, c\n@]",
    "{a: 'x\n@y', b: z}",
    "{a: [\n@1,\n@2,\n@], b: {}}",
    "[[a, b], {c: d}, e: f]",
    "{a, b: , 'c': d}",
    '{"a":1,"b":[2,3]}',
    "[\n@# a comment\n@a, # another\n@b]",
)

# Lines of a block have `@` where the indentation of the place, and two spaces more, is put.
_BLOCKS = (
    "one\n@two",
    "one\n\n\n@two\n",
    "  deeper\n@one\n",
    "one\n@  deeper\n@  more\n@two\n",
    "# no comment\n@- no: item\n",
    "one  \n@two\t\n",
    "one\n\n",
)
_HEADERS = ("|", "|-", "|+", ">", ">-", ">+", "| # a comment", "|2", ">2-", "|+2")

_TAGS = (
    "!Ref Name",
    "!GetAtt Queue.Arn",
    "!GetAtt Stack.Outputs.Url",
    "!Sub 'a ${B}'",
    "!Sub\n@  - 'a ${B}'\n@  - B: c",
    "!Join ['-', [a, !Ref B]]",
    "!Join\n@  - ''\n@  - - a\n@    - !Sub b",
    "!If [Live, 1, !Ref AWS::NoValue]",
    "!Base64 {'Fn::Sub': x}",
    "!GetAZs ''",
    "!Base64\n@  !Sub |\n@    echo ${A}\n@    exit",
    "{'Fn::GetAtt': [Queue, Arn]}",
    "{'Fn::GetAtt': Queue.Arn}",
    "!Equals [!Ref A, 012]",
    "!Ref 12",
    "!!str 12",
    '!!int "12"',
    "!!str true",
    "! 12",
    "!Select [0, !Split [',', 'a,b']]",
    "!FindInMap [A, !Ref B, c]",
    "&anchor value",
    "!Sub &anchor value",
)

_JSON = (
    '{"a": 2e6, "b": [1.0, -0.5, 1E-3, true, null], "c": {"d": "\\u00e9\\ud83d\\ude00\\/\\n"}}',
    '\n\t{\n\t"a":\t{"b":\t[]},\n\t"c": {}}\n',
    '{"Ref":"A"}',
    '{"a": {"Fn::GetAtt": ["Q", "Arn"]}, "b": {"Fn::GetAtt": "Q.Arn"}, "c": 12345678901234567890}',
    '{"a": "y", "b": "012", "c": "2012-10-17", "d": "\x7f# :"}',
)

_PLAIN_LINES = ("one\n@two", "one\n\n@two\n@three # comment", "a 'b' \"c\"\n@d: e", "http://a\n@ b")

# A place holds `%`, and the indentation of continuation lines: that of the key, and one that is deeper.
_PLACES = (
    ("K: %\nL: x", ("", " ", "  ")),
    ("A:\n  K: %\n  L: x", ("  ", "   ", "    ")),
    ("A:\n  - K: %\n    L: x\n  - y", ("    ", "      ")),
    ("A:\n- %\n- y", ("  ", "    ")),
    ("A:\n  B:\n    - - %\n      - z", ("        ", "      ")),
    ("? K\n: %", ("  ",)),
    ("---\nA:\n    K:\n      %\nB: x", ("      ", "        ")),
    ("A: {k: %, l: [m]}", ("  ", "")),
    ("A: [%, x]", ("  ", "")),
)


def texts() -> Iterator[str]:
    """Yields each text once, in a fixed order."""
    seen = set()
    for text in _all():
        if text not in seen:
            seen.add(text)
            yield text


def _all() -> Iterator[str]:
    for place, indents in _PLACES:
        is_flow = "{k" in place or "[%" in place
        for value in (*_WORDS, *_QUOTED):
            yield place.replace("%", value) + "\n"
        for value in (*_CONTINUED, *_TAGS, *_PLAIN_LINES):
            for indent in indents:
                yield place.replace("%", value.replace("@", indent)) + "\n"
        if not is_flow:
            yield from _blocks(place, indents[-1])
    yield from _JSON
    yield from _around()


def _blocks(place: str, indent: str) -> Iterator[str]:
    deeper = indent + "  "
    for header in _HEADERS:
        for block in _BLOCKS:
            body = f"{header}\n{deeper}{block}".replace("@", deeper).rstrip(" ")
            yield place.replace("%", body.removesuffix("\n"))
            # The block ends the file: with a line break, and without.
            end = place.split("%")[0] + body
            yield end.rstrip("\n")
            yield end.rstrip("\n") + "\n"
            yield end + "\n\n"


def _around() -> Iterator[str]:
    """Yields what can stand around a document."""
    yield "\ufeffA: 1\n"
    yield "%YAML 1.1\n---\nA: 1\n"
    yield "%TAG !x! tag:yaml.org,2002:\n---\nA: !x!str 1\n"
    yield "# comment\n\nA: 1\n...\n"
    yield "A: 1\r\nB: |\r\n  one\r\n  two\r\nC: 'x\r\n  y'\r\n"
    yield "A:\n  B: 1\n\n  # comment\n  C: 2\n# end"
    yield "A:   1   # comment\nB: x#y\nC: 'z'# no comment\n"
    yield "'A b': 1\n\"C\": 2\nD e: 3\n"
    yield "A:\n- b\n- c\nD:\n  - e\n"
    yield "A: b\n\tC: d\n"
    yield "A:\tb\n"
    yield "A: [a\n"
    yield "A: 'a\n"
    yield "A: b: c\n"
    yield "A: @b\n"
    yield "A: `b`\n"
    yield "A: %b\n"
    yield "A: {b: c\n"
    yield "A:\n  B: 1\n C: 2\n"
    yield "A: |x\n  b\n"
    yield "A: [a]]\n"
    yield "A: 'b' c\n"
    yield "- A\nB: c\n"
    yield 'A: "\\q"\n'
    yield "A: ,b\n"
    yield "A: [!Ref, b]\n"
    yield "A: -\n"
    yield "A:\n  -\n  - b\n"
    yield "A: \x07\n"
    yield "A: *b\n"
