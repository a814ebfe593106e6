"""Evidence, and the verdict that it adds up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["kin", "doubt", "stranger"]

# From here on a map is taken: one in 1,000 strangers would look so by chance. Below its negative it is another model's.
ENOUGH = 10.0

# No sum of evidence says more than this, since what it was measured on does not either.
_MOST = 60.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that speaks for or against a file being of the map's model.

    Attributes
    ----------
    kind : str
        ``lineage``, ``weights``, ``verified``, ``names``, ``metadata`` or ``structure``.
    says : str
        What was found, as a clause.
    bits : float
        Binary logarithm of how much likelier it is for a file of the map's model than for another one; negative if it
        speaks against.
    """

    kind: str
    says: str
    bits: float

    def as_dict(self) -> dict[str, object]:
        """The evidence as plain values."""
        return {"kind": self.kind, "says": self.says, "bits": round(self.bits, 1)}


@dataclass(frozen=True, slots=True)
class Kinship:
    """Whether a map is of a file's model.

    Attributes
    ----------
    verdict : "kin", "doubt" or "stranger"
    relation : str
        What the file is to the map's model, as a clause.
    evidence : tuple of Evidence
        What that rests on, weightiest first.
    notes : tuple of str
        What a user should know although the map is taken.
    """

    verdict: Verdict
    relation: str
    evidence: tuple[Evidence, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def bits(self) -> float:
        """All the evidence together."""
        return max(-_MOST, min(_MOST, sum(each.bits for each in self.evidence)))

    @property
    def likelihood(self) -> float:
        """The probability that the file is of the map's model, if that was as likely as not before."""
        return float(1 / (1 + 2**-self.bits))

    def as_dict(self) -> dict[str, object]:
        """The verdict as plain values."""
        return {
            "verdict": self.verdict,
            "relation": self.relation,
            "bits": round(self.bits, 1),
            "likelihood": self.likelihood,
            "evidence": [each.as_dict() for each in self.evidence],
        }

    @property
    def grounds(self) -> str:
        """The evidence as a part of a sentence."""
        return "; ".join(each.says for each in self.evidence) or "nothing in the file can be compared with the map"

    @property
    def sentence(self) -> str:
        """What is wrong and what to do, for a map that is not taken."""
        advice = "give the right map, or take this one with --force, which marks the result"
        odds = f" (likelihood {self.likelihood:.4f}, 0.999 is asked for)" if self.bits < ENOUGH else ""
        return f"{self.relation}{odds}: {self.grounds}; {advice}"


# Of a file that a tool has just made from the one that the map is of.
BY_LINEAGE = Kinship(
    "kin",
    "the file was made from the file that the map is of",
    (Evidence("lineage", "a tool made it from the file that the map is of", _MOST),),
)
