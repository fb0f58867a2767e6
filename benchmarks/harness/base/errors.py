"""What goes wrong and is no bug: said in one sentence that tells how to mend it."""

from df_heads.integrations.errors import InputError as InputError
from df_heads.integrations.errors import trouble_of_the_machine as trouble_of_the_machine


class LostProcessError(RuntimeError):
    """Another process of a run on several devices is gone; printed as one sentence, exit code 1."""
