"""What an oracle says."""

from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Finding:
    """Says where something is wrong and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class Verdict:
    """Holds how many things of each kind an oracle judged, what it found, and what it could not judge."""

    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    # Lines for a person: a table, or what this run did not judge and why.
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
        """Adds a line for a person."""
        self.notes.append(line)
