import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead

with warnings.catch_warnings():
    # solo-learn 1.0.6 uses names that timm and torch have moved since.
    warnings.simplefilter("ignore")
    pytest.importorskip("solo.methods", reason="solo-learn is not installed", exc_type=ImportError)
    from df_heads.integrations.solo_learn.launcher import run_script
    from df_heads.integrations.solo_learn.options import build_projector, check_head_options


def test_defaults_are_filled_in_and_the_given_dict_is_not_changed() -> None:
    given = {"num_layers": 3}
    assert check_head_options(given) == {
        "name": "transformer-stable-small",
        "views": "separate",
        "num_layers": 3,
    }
    assert given == {"num_layers": 3}


@pytest.mark.parametrize(
    ("given", "head_class", "hidden_dim"),
    [
        ({}, TransformerProjectionHead, 128),
        ({"name": "transformer-large"}, TransformerProjectionHead, 256),
        ({"name": "transformer-self"}, TransformerProjectionHead, 128),
        ({"name": "feedforward-small"}, FeedForwardProjectionHead, 640),
        ({"hidden_dim": 24, "num_heads": 3, "norm_first": True}, TransformerProjectionHead, 24),
    ],
)
def test_the_head_has_the_given_widths(
    given: Mapping[str, Any], head_class: type[nn.Module], hidden_dim: int
) -> None:
    head = build_projector(check_head_options(given), input_dim=12, output_dim=7)
    assert isinstance(head, head_class)
    assert head.hidden_dim == hidden_dim
    assert head(torch.randn(4, 12)).shape == (4, 7)


@pytest.mark.parametrize("family", ["transformer", "feedforward"])
def test_every_option_that_is_named_is_taken(family: str) -> None:
    with pytest.raises(ValueError, match="has no option 'nothing'") as raised:
        check_head_options({"name": family, "nothing": 0})
    options = str(raised.value).split(" are: ")[1].rstrip(".").split(", ")
    assert options[:2] == ["name", "views"]
    assert "hidden_dim" in options
    check_head_options({"name": family, "views": "joint", **dict.fromkeys(options[2:], 1)})


SCRIPT = """
import sys
import solo_learn_script_helper

def in_main():
    pass

seen = (__name__, __file__ == sys.argv[0], sys.argv[1:], sys.modules["__main__"].in_main is in_main)
"""


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A __main__ module and a sys.argv to run scripts in."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("DF_HEADS_SOLO_LEARN_SCRIPT", raising=False)
    monkeypatch.setenv("DF_HEADS_SOLO_LEARN_SCRIPT", "")  # so that it is restored
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return module


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "solo_learn_script_helper.py").touch()
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def test_the_launcher_runs_a_script_as_python_does(
    main: ModuleType, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["launcher", str(script), "--k", "20"])
    run_script()
    assert main.seen == ("__main__", True, ["--k", "20"], True)
    # Lightning starts the next process without the script among its arguments.
    monkeypatch.setattr(sys, "argv", ["launcher", "--k", "20"])
    monkeypatch.setenv("LOCAL_RANK", "1")
    del main.seen
    run_script()
    assert main.seen == ("__main__", True, ["--k", "20"], True)


def test_outside_of_such_a_process_an_inherited_variable_means_nothing(
    main: ModuleType, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DF_HEADS_SOLO_LEARN_SCRIPT", "other.py")
    monkeypatch.setattr(sys, "argv", ["launcher", str(script)])
    run_script()
    assert main.seen[2] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name the solo-learn script to run"),
        (["no_such.py"], "no_such.py; run this in a clone of solo-learn"),
    ],
)
def test_the_launcher_says_what_is_missing(
    main: ModuleType, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["launcher", *arguments])
    with pytest.raises(SystemExit, match=message):
        run_script()
