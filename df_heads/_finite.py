"""Checks of numbers that not-a-number does not pass."""

import math


def check_above_zero(**given: float) -> None:
    """Raise ValueError unless each of the named numbers is finite and above 0."""
    for name, value in given.items():
        # Comparisons with NaN are false, so the condition says what is good, not what is bad.
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value} must be above 0 and finite.")


def check_not_negative(**given: float) -> None:
    """Raise ValueError unless each of the named numbers is finite and at least 0."""
    for name, value in given.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}={value} must be at least 0 and finite.")
