"""Which modules of a model are projection heads to replace, and which are their teachers."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lightly.models.modules.heads import ProjectionHead
from torch import nn

#: Paths of the heads to replace, or their (input_dim, output_dim) by path.
Paths = Iterable[str] | Mapping[str, tuple[int, int]]

_MARK = re.compile(r"^(?:momentum|ema|teacher|target)_|_(?:momentum|ema|teacher|target)$")

_LOCAL = "it is applied to each location of an image, so a sequence would not be the batch"
_REFUSED: Mapping[str, str] = {
    "DINOProjectionHead": "its last layer holds weight-normed prototypes that belong to the loss",
    "DINOv2ProjectionHead": "its last layer holds weight-normed prototypes that belong to the loss",
    "DenseCLProjectionHead": _LOCAL,
    "VicRegLLocalProjectionHead": _LOCAL,
    "LeWMProjectionHead": "its samples are frames of one video, and mixing them shows the "
    "predictor the frame it is to predict",
}


@dataclass
class FoundHead:
    """A head to replace, and whose copy it is."""

    module: nn.Module
    paths: list[str]
    input_dim: int
    output_dim: int
    online: "FoundHead | None" = None

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of it trains."""
        trains = [p.requires_grad for p in self.module.parameters()]
        return bool(trains) and not any(trains)

    def is_like(self, other: "FoundHead") -> bool:
        """Whether one could be the other's copy."""
        return (
            self is not other
            and type(self.module) is type(other.module)
            and (self.input_dim, self.output_dim) == (other.input_dim, other.output_dim)
        )


def find_heads(
    model: nn.Module, *, paths: Paths | None, skip: Iterable[str], prediction_heads: bool
) -> list[FoundHead]:
    """The heads of a model, each once, in the order of model.named_modules().

    Raises:
        ValueError: If there is none, a path is not there, or a head's widths cannot be known.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    skipped = _as_paths("skip", skip, modules)
    left = {id(modules[path]) for path in skipped}
    if paths is None:
        kinds = [module for module in modules.values() if isinstance(module, ProjectionHead)]
        chosen = {id(m) for m in kinds if prediction_heads or not _is_prediction_head(m)}
    else:
        named = _as_paths("paths", paths, modules)
        _check_apart(named)
        chosen = {id(modules[path]) for path in named}
    chosen -= left
    _check_none_refused({path: module for path, module in modules.items() if id(module) in chosen})
    widths = paths if isinstance(paths, Mapping) else {}
    given = {id(modules[path]): widths[path] for path in widths}
    found: dict[int, FoundHead] = {}
    for path, module in modules.items():
        key = id(module)
        if key in found:
            found[key].paths.append(path)
        elif key in chosen:
            found[key] = FoundHead(module, [path], *_widths(path, module, given.get(key)))
    if not found:
        kind = "heads" if prediction_heads else "heads other than prediction heads"
        but = f" but {', '.join(skipped)}, which skip leaves" if skipped else ""
        raise ValueError(
            f"{type(model).__name__} has no projection head to replace: its modules were searched "
            f"for lightly.models.modules.heads.ProjectionHead, {kind}, and none was found{but}. "
            f"Name a head of another class by its path, as in paths=[{_likely(modules)!r}]."
        )
    return list(found.values())


def _as_paths(argument: str, given: Iterable[str], modules: Mapping[str, nn.Module]) -> list[str]:
    if isinstance(given, str):
        raise TypeError(
            f"{argument}={given!r} must be several paths; write {argument}=[{given!r}]."
        )
    paths = list(given)
    for path in paths:
        if path not in modules or not path:
            near = difflib.get_close_matches(str(path), filter(None, modules), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{argument} names {path!r}, which is no module inside the model.{hint} "
                "model.named_modules() lists them."
            )
    return paths


def _likely(modules: Mapping[str, nn.Module]) -> str:
    """A path that may be a head's, for an example."""
    names = [path for path in modules if re.search("proj|head", path.rpartition(".")[2])]
    return min(names, key=len, default="projector")


def _check_apart(paths: list[str]) -> None:
    for inner in paths:
        outer = next((path for path in paths if inner.startswith(f"{path}.")), None)
        if outer is not None:
            raise ValueError(
                f"paths names {inner!r}, which is part of {outer!r}; name one of both."
            )


def _check_none_refused(modules: Mapping[str, nn.Module]) -> None:
    reasons = {
        path: _REFUSED[kind.__name__]
        for path, module in modules.items()
        for kind in type(module).__mro__
        if kind.__name__ in _REFUSED
    }
    for path, reason in reasons.items():
        raise ValueError(
            f"{path} ({type(modules[path]).__name__}) is not replaced: {reason}. Pass "
            f"skip={list(reasons)} to leave such heads and replace the others."
        )


def _is_prediction_head(module: nn.Module) -> bool:
    return any(kind.__name__.endswith("PredictionHead") for kind in type(module).__mro__)


def _widths(path: str, module: nn.Module, given: tuple[int, int] | None) -> tuple[int, int]:
    name = type(module).__name__
    if not path:
        raise ValueError(
            f"The model is itself a {name}, which cannot be replaced in place; build a "
            "TransformerProjectionHead instead."
        )
    if given is not None:
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise ValueError(
                f"paths gives {given!r} for {path}; give (input_dim, output_dim), such as "
                "(512, 128)."
            )
        return given[0], given[1]
    way_out = (
        f"Pass paths={{{path!r}: (input_dim, output_dim)}} if it turns one vector per image into "
        f"another, or skip=[{path!r}] to leave it."
    )
    parts = list(module.modules())
    linear = [part for part in parts if isinstance(part, nn.Linear)]
    convolves = any(isinstance(part, nn.modules.conv._ConvNd) for part in parts)
    lazy = any(isinstance(part, nn.LazyLinear) for part in parts)
    if convolves or lazy or not linear:
        reason = (
            "it has convolutions"
            if convolves
            else "its layers are lazy; run one batch through the model first"
            if lazy
            else "it has no nn.Linear"
        )
        raise ValueError(f"The width of {path} ({name}) cannot be inferred: {reason}. {way_out}")
    if not _is_plain(module):
        raise ValueError(
            f"{path} ({name}) is not replaced: it has a forward() or layers that lightly's "
            f"ProjectionHead has not. {way_out}"
        )
    return linear[0].in_features, linear[-1].out_features


def _is_plain(module: nn.Module) -> bool:
    """Whether it is known to be layer after layer."""
    if isinstance(module, ProjectionHead):
        own_forward = type(module).forward is not ProjectionHead.forward
        return not own_forward and [name for name, _ in module.named_children()] == ["layers"]
    children = list(module.children())
    return not children or (type(module) is nn.Sequential and all(map(_is_plain, children)))


def find_teachers(heads: list[FoundHead]) -> None:
    """Say of each head whose copy it is, by the rules of replace_projection_head.

    Raises:
        ValueError: If it could be the copy of several.
    """
    for head in heads:
        if all(_unmarked(path) != path for path in head.paths):
            names = {_unmarked(path) for path in head.paths}
            named = [s for s in heads if s.is_like(head) and names & set(s.paths)]
            head.online = named[0] if named else None
    trained = [head for head in heads if head.online is None and not head.is_frozen]
    for head in heads:
        if head.online is None and head.is_frozen:
            online = [s for s in trained if s.is_like(head)]
            if len(online) > 1:
                raise ValueError(
                    f"{head.paths[0]} is frozen and could be the teacher of "
                    f"{' or '.join(s.paths[0] for s in online)}; name it after one of them, such "
                    f"as {online[0].paths[0]}_momentum, or leave it by skip."
                )
            head.online = online[0] if online else None
    for head in heads:
        # Rule 1 may lead to a frozen head that rule 2 calls a teacher itself.
        if head.online is not None and head.online.online is not None:
            head.online = head.online.online


def _unmarked(path: str) -> str:
    parts = []
    for part in path.split("."):
        shorter = _MARK.sub("", part)
        while shorter != part:
            part, shorter = shorter, _MARK.sub("", shorter)
        parts.append(part)
    return ".".join(parts)
