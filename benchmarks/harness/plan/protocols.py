"""What a suite that tests hypotheses states before its runs."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One comparison, judged together with the others of its protocol.

    Attributes:
        asks: The question that it answers, in a few words.
        head: A family of heads.
        over: The family that it is compared with, at the same seeds.
    """

    asks: str
    head: str
    over: str


@dataclass(frozen=True)
class Protocol:
    """A family of hypotheses and the seeds that they are judged on, no fewer and no more.

    Attributes:
        hypotheses: What is judged; false verdicts are bounded over all of them together.
        seeds: The seeds. While a run of one of them is missing there are no verdicts, and runs of
            other seeds are not looked at.
    """

    hypotheses: Sequence[Hypothesis]
    seeds: Sequence[int]

    @property
    def heads(self) -> list[str]:
        """The families of heads, each once."""
        named = [name for one in self.hypotheses for name in (one.over, one.head)]
        return list(dict.fromkeys(named))
