import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.integrations.solo_learn_options import build_projector, check_head_options


def test_defaults_are_filled_in_and_the_given_dict_is_not_changed() -> None:
    given = {"num_layers": 3}
    assert check_head_options(given) == {
        "name": "transformer-small",
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


@pytest.mark.parametrize(
    "module", ["df_heads.integrations.solo_learn", "df_heads.integrations.solo_learn_backbone"]
)
def test_without_solo_learn_it_says_how_to_install_it(module: str) -> None:
    script = f"""
import sys
sys.modules["solo"] = None
import df_heads
import {module}
"""
    done = run("-c", script)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError: df_heads.integrations.solo_learn needs solo-learn 1.0.6")
    assert "pip install --no-deps --no-build-isolation git+https" in message


RUN = "from df_heads.integrations.solo_learn_launcher import run_script; run_script()"
SCRIPT = """
import sys
import helper
print(__name__, __file__ == sys.argv[0], sys.argv[1:], helper.__name__)
if __name__ == "__main__":
    def in_main(): pass
    assert sys.modules["__main__"].in_main is in_main
"""


def test_the_launcher_runs_a_script_as_python_does(tmp_path: Path) -> None:
    (tmp_path / "helper.py").touch()
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run("-c", RUN, tmp_path / "script.py", "--k", "20")
    assert done.stdout == "__main__ True ['--k', '20'] helper\n", done.stderr


def test_a_process_that_lightning_starts_runs_the_same_script(tmp_path: Path) -> None:
    (tmp_path / "helper.py").touch()
    (tmp_path / "script.py").write_text(SCRIPT)
    rank = {"LOCAL_RANK": "1", "DF_HEADS_SOLO_LEARN_SCRIPT": str(tmp_path / "script.py")}
    assert "['--k', '20']" in run("-c", RUN, "--k", "20", **rank).stdout
    # Outside of such a process an inherited variable means nothing.
    (tmp_path / "other.py").write_text("print('other')")
    del rank["LOCAL_RANK"]
    assert run("-c", RUN, tmp_path / "other.py", **rank).stdout == "other\n"


def test_the_launcher_says_what_is_missing() -> None:
    assert run("-c", RUN).stderr.startswith("Name the solo-learn script to run")
    assert "no_such.py; run this in a clone of solo-learn" in run("-c", RUN, "no_such.py").stderr


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | environment,
    )
