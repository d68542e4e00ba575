"""The result of an oracle."""

from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Finding:
    """The place of a mistake, and its description."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class Verdict:
    """The number of judged things of each kind, the findings, and the remarks."""

    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    # Lines for the reader: a table, or the things that this run did not judge and the reason.
    notes: list[str] = field(default_factory=list)

    def judged(self, kind: str, number: int = 1) -> None:
        """Counts things of a kind as judged."""
        self.counts[kind] = self.counts.get(kind, 0) + number

    def find(self, where: object, what: str) -> None:
        """Adds a finding, once."""
        finding = Finding(str(where), what)
        if finding not in self.findings:
            self.findings.append(finding)

    def note(self, line: str) -> None:
        """Adds a line for the reader."""
        self.notes.append(line)
