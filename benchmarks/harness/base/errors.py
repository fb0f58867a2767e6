"""The one exception that means: the input is wrong, the message says how to mend it."""


class InputError(ValueError):
    """Bad input of a benchmark script; printed as one sentence, exit code 2."""
