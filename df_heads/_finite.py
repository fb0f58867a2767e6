"""Checks of numbers that neither not-a-number nor another kind of value passes."""

import math
from numbers import Real
from typing import Any


def check_number(**given: Any) -> None:
    """Raise TypeError unless each of the named values is a number."""
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{name}={value!r} must be a number, not {type(value).__name__}.")


def check_above_zero(**given: float) -> None:
    """Raise ValueError unless each of the named numbers is finite and above 0."""
    check_number(**given)
    for name, value in given.items():
        # Comparisons with NaN are false, so the condition says what is good, not what is bad.
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value} must be above 0 and finite.")


def check_not_negative(**given: float) -> None:
    """Raise ValueError unless each of the named numbers is finite and at least 0."""
    check_number(**given)
    for name, value in given.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}={value} must be at least 0 and finite.")


def check_below_one(**given: float) -> None:
    """Raise ValueError unless each of the named numbers is at least 0 and below 1."""
    check_number(**given)
    for name, value in given.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name}={value} must be at least 0 and below 1.")


def check_counts(**given: int) -> None:
    """Raise ValueError unless each of the named values is a whole number of at least 1."""
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r} must be a whole number of at least 1.")


def check_switches(**given: bool) -> None:
    """Raise TypeError unless each of the named values is True or False."""
    for name, value in given.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name}={value!r} must be True or False.")
