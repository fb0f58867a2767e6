"""Files that appear whole or not at all, and typed reading of JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.integrations.files.atomic import write_whole

SCHEMA = 1

Content = TypeVar("Content")


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: If the file is no JSON object, or was written by a newer version.
    """
    try:
        content = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is damaged ({error}); move it away to run it again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no JSON object; move it away to run it again.")
    schema = content.get("schema", SCHEMA)
    if isinstance(schema, int) and schema > SCHEMA:
        raise InputError(
            f"{file} was written by a newer df-heads (schema {schema}, this one reads {SCHEMA}); "
            "upgrade df-heads, or choose another --out-dir."
        )
    return content


def read_struct(file: Path, kind: type[Content]) -> Content:
    """Read a JSON object of a known form; the file is left as it is, whatever it holds.

    Raises:
        InputError: If the file is no JSON object, was written by a newer version, or lacks a field,
            has one too many or one of another type.
    """
    try:
        return msgspec.convert(read_json(file), kind)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{file} is not what this version wrote ({error}); move it away to run it again."
        ) from error


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object; the file appears whole or not at all."""
    write_text(file, json.dumps(content, indent=1) + "\n")


def write_struct(file: Path, content: msgspec.Struct) -> None:
    """Write a struct as a JSON object; the file appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, msgspec.to_builtins(content))


def write_text(file: Path, text: str) -> None:
    """Write a text file that appears whole or not at all, also if two processes write it."""
    write_whole(file, lambda stream: stream.write(text.encode()))
