"""The questions that the benchmarks answer: the parts of the report, in its order."""

from enum import Enum


class Topic(Enum):
    """A question, in words."""

    HELP = "Does attending over the batch help?"
    FUSION = "Does the attention find the classes?"
    COLLAPSE = "Where do heads collapse?"
    COST = "What does it cost, and is the fast step as good?"
    THEORY = "Does the paper's theory hold?"
    TUNING = "Which learning rates were chosen, and how?"
    OTHER = "Other questions"
