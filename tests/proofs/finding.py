"""What a proof came to."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """What a proof came to on one database: a sentence, and what fell short."""

    sentence: str
    faults: list[str] = field(default_factory=list)
