"""What is taken from stable-pretraining, after a check that it is one we support."""

import re
from importlib import metadata

__all__ = ["TeacherStudentWrapper"]

_NEEDED = "stable-pretraining 0.1.8 or a later 0.1: pip install 'stable-pretraining>=0.1.8,<0.2'"
try:
    from stable_pretraining import TeacherStudentWrapper
except ImportError as error:
    raise ImportError(
        f"df_heads.integrations.stable_pretraining needs {_NEEDED}; importing it failed ({error})."
    ) from error


def _require_supported(version: str) -> None:
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if numbers is None or not (0, 1, 8) <= tuple(map(int, numbers.groups())) < (0, 2, 0):
        raise ImportError(
            f"df_heads.integrations.stable_pretraining does not know {version}; it needs {_NEEDED}."
        )


_require_supported(metadata.version("stable-pretraining"))
