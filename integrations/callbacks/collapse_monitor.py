"""A Lightning callback that sees a head collapse, in the first steps and under any loss."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

try:
    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.utilities import rank_zero_warn

    from df_heads.integrations.training.either_lightning import Callback
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.callbacks needs Lightning: pip install pytorch-lightning"
    ) from error
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.collapse import Collapse, CollapseWatch, measure_collapse

OnCollapse = Literal["warn", "stop"]

#: Names of the attributes under which lightly's examples and solo-learn's methods keep a head.
HEAD_NAMES = ("projection_head", "projector", "student_head", "head")


class CollapseMonitor(Callback):
    """Watches the outputs of the projection heads from the first step on.

    >>> Trainer(callbacks=[CollapseMonitor()]).fit(model, dataloader)
    >>> Trainer(callbacks=[CollapseMonitor(on_collapse="stop")]).fit(model, dataloader)

    Collapse is seen in the outputs, by ``df_heads.collapse.CollapseWatch``, so it means the same
    under every loss. Within 20 steps of it one warning says what was found, the likely cause and
    the argument to change. Works with df-heads' own methods, with lightly's and solo-learn's, and
    with any LightningModule that holds a head; nothing of the training is changed. A compiled
    model's outputs cannot be seen: it then says so.

    Args:
        on_collapse: "warn" goes on, "stop" ends the training after that step.
        head: Name of the head in the module, such as "projection_head"; None for all heads that
            train: those of df-heads and lightly by their class, others by the names that lightly
            and solo-learn use.

    Attributes:
        found: The collapse by name of the head; empty while all live.
        steps: The step at which it was said, counted from 0, by name of the head.
        last: What the last look found, by name of the head.

    Raises:
        ValueError: If on_collapse is unknown. When training starts: if the module has no such
            head.
    """

    def __init__(self, on_collapse: OnCollapse = "warn", *, head: str | None = None) -> None:
        if on_collapse not in get_args(OnCollapse):
            raise ValueError(f"on_collapse={on_collapse!r} is not known; choose 'warn' or 'stop'.")
        self.on_collapse = on_collapse
        self.head = head
        self.found: dict[str, Collapse] = {}
        self.steps: dict[str, int] = {}
        self.last: dict[str, Collapse] = {}
        self._watches: dict[str, CollapseWatch] = {}
        self._outputs: dict[str, Tensor] = {}
        self._handles: list[RemovableHandle] = []
        self._step = 0
        self._has_seen = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the heads and hook on to them."""
        self._remove()
        self._step, self._has_seen = 0, False
        for name, head in _heads(pl_module, self.head).items():
            self._watches[name] = CollapseWatch()
            self._handles.append(head.register_forward_hook(self._keeper(name)))

    def _keeper(self, name: str) -> Any:
        def keep(head: nn.Module, _args: Any, outputs: Any) -> None:
            # The first call in a step that trains: the other views tell the same.
            if torch.compiler.is_compiling() or not head.training or name in self._outputs:
                return
            if CollapseWatch.wants(self._step) and isinstance(outputs, Tensor):
                self._outputs[name] = outputs.detach()

        return keep

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Look at what the heads gave in this step."""
        for name, z in self._outputs.items():
            self._has_seen = True
            # Of several sequences (S, N, d), the first: one view.
            z = z[0] if z.dim() == 3 else z
            if z.dim() == 2 and len(z) > 1:
                self.last[name] = found = measure_collapse(z)
                if self._watches[name].take(found) is not None:
                    self._speak(trainer, pl_module, name, found)
        self._outputs.clear()
        self._step += 1

    def _speak(
        self, trainer: Trainer, pl_module: LightningModule, name: str, collapse: Collapse
    ) -> None:
        self.found[name], self.steps[name] = collapse, self._step
        stops = self.on_collapse == "stop"
        rank_zero_warn(
            f"{name} has collapsed at step {self._step + 1}: {_WORDS[collapse.cause]}, {collapse}. "
            f"{_advice(trainer, pl_module.get_submodule(name))}"
            + (" Training stops here." if stops else "")
        )
        if stops:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say so if there was nothing to see."""
        if self._step and not self._has_seen:
            rank_zero_warn(
                "CollapseMonitor saw no outputs of "
                f"{', '.join(self._watches)}: the training step does not call them, or is compiled."
            )
        self._remove()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Let go of the heads."""
        self._remove()

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._outputs.clear()


_WORDS: Mapping[str | None, str] = {
    "parallel": "the outputs of all samples have become parallel",
    "line": "the outputs of all samples lie on one line",
    "not finite": "its outputs are not finite",
}


def _advice(trainer: Trainer, head: nn.Module) -> str:
    """The likely cause, and what to change."""
    if isinstance(head, TransformerProjectionHead) and head.form == "paper":
        return (
            "Likely cause: the paper's form of the head, whose first steps are too large; build "
            'it with form="stable", or clip the gradient to 1.0 (gradient_clip, or the Trainer\'s '
            "gradient_clip_val) and raise warmup_fraction."
        )
    rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
    rate = f" of {max(rates):.3g}" if rates else ""
    return (
        f"Likely cause: a learning rate{rate} that is too large for the first steps; lower "
        "learning_rate, raise warmup_fraction, or clip the gradient (gradient_clip, or the "
        "Trainer's gradient_clip_val)."
    )


def _heads(pl_module: LightningModule, name: str | None) -> dict[str, nn.Module]:
    """The heads to watch, by name."""
    modules = dict(pl_module.named_modules())
    if name is not None:
        if name not in modules:
            raise ValueError(
                f"head={name!r} is not in {type(pl_module).__name__}; pass the name of its "
                "projection head, or None for all heads that train."
            )
        return {name: modules[name]}
    trained = {
        path: module
        for path, module in modules.items()
        if path and any(p.requires_grad for p in module.parameters())
    }
    found = {path: module for path, module in trained.items() if _is_head(module)} or {
        path: module for path, module in trained.items() if path.split(".")[-1] in HEAD_NAMES
    }
    if not found:
        raise ValueError(
            f"{type(pl_module).__name__} has no projection head that CollapseMonitor knows; pass "
            'its name, as in CollapseMonitor(head="my_head").'
        )
    return found


def _is_head(module: nn.Module) -> bool:
    """Whether it is one of df-heads' or lightly's; a prediction head's outputs may be anything."""
    if isinstance(module, TransformerProjectionHead | FeedForwardProjectionHead):
        return True
    # lightly itself need not be installed.
    names = [kind.__name__ for kind in type(module).__mro__]
    return "ProjectionHead" in names and not any(n.endswith("PredictionHead") for n in names)
