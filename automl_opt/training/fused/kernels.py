"""Operations whose kernels would look at several slots at once, computed so that they do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from automl_opt.training.data import Source, TensorSource
from automl_opt.training.fused.arena import ALIGNED
from automl_opt.training.fused.noise import Stream

RANDOM = frozenset(
    (
        torch.bernoulli,
        torch.normal,
        torch.rand,
        torch.rand_like,
        torch.randint,
        torch.randint_like,
        torch.randn,
        torch.randn_like,
        torch.randperm,
    )
)


FEW_CLASSES = 64
"""Below, torch's softmax over neighbouring numbers has too few to fill its vectors: with 10 classes
it takes five times as long as over numbers that are apart, with 100 less."""


class SlotKernels(TorchFunctionMode):
    """Inside, batch normalisation keeps slots apart, and random functions draw slot by slot.

    Attention is its formula, whose dropout draws slot by slot as well.

    Torch batches a normalisation by putting the channels of all slots side by side, and its kernel
    for vectors of features computes what is left over behind the last full register by other
    instructions: which slot that hits depends on their number.

    Args:
        streams: the slots' own.
        batched: any tensor that ``torch.vmap`` batches over the slots.
    """

    def __init__(self, streams: Sequence[Stream], batched: Tensor) -> None:
        super().__init__()
        self._streams, self._batched = streams, batched

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is functional.batch_norm and args[0].shape[1] % ALIGNED:
            return _batch_norm(*args, **(kwargs or {}))
        if func is functional.scaled_dot_product_attention:
            return self._attention(*args, **(kwargs or {}))
        if func is functional.dropout and self._streams:
            return self._dropout(*args, **(kwargs or {}))
        if func in RANDOM and self._streams:
            return self._drawn(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """Attention by its formula; torch's own looks for rows that a mask hides whole."""
        if attn_mask is not None or enable_gqa:
            return functional.scaled_dot_product_attention(
                query,
                key,
                value,
                attn_mask,
                dropout_p,
                is_causal,
                scale=scale,
                enable_gqa=enable_gqa,
            )
        scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        scores = (query * scale) @ key.transpose(-2, -1)
        if is_causal:
            # added, not filled in: that costs the backward pass nothing
            scores = scores + scores.new_full(scores.shape[-2:], -math.inf).triu(1)
        weights = scores.softmax(-1)
        if dropout_p > 0:
            weights = self._dropout(weights, dropout_p)
        return weights @ value

    def _dropout(
        self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0:
            return x
        ones = torch.ones_like(x.detach())
        return x * self._drawn(functional.dropout, (ones, p, True), {})

    def _drawn(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Tensor:
        leaves, form = tree_flatten((args, kwargs))
        at = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

        def one(tensors: Sequence[Tensor], stream: Stream) -> Tensor:
            given = list(leaves)
            for i, tensor in zip(at, tensors, strict=True):
                given[i] = tensor
            args, kwargs = tree_unflatten(given, form)
            with stream.drawing():
                drawn: Tensor = func(*args, **kwargs)
            return drawn

        tensors = [leaves[i].detach() for i in at]
        found: Tensor = _Drawn.apply(one, self._streams, self._batched.detach(), *tensors)
        return found


class _Drawn(torch.autograd.Function):
    """A random function, called once for every slot that ``torch.vmap`` has batched."""

    @staticmethod
    def forward(one: Any, streams: Any, batched: Tensor, *tensors: Tensor) -> Tensor:
        raise RuntimeError("random numbers outside of the slots")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, one: Any, streams: Any, batched: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, int]:
        dims = in_dims[3:]
        drawn = []
        for row, stream in enumerate(streams):
            own = [
                tensor if dim is None else tensor.select(dim, row)
                for tensor, dim in zip(tensors, dims, strict=True)
            ]
            drawn.append(one(own, stream))
        return torch.stack(drawn), 0


@contextmanager
def batching() -> Iterator[None]:
    """Inside, attention and encoders use kernels that ``torch.vmap`` has rules for.

    What has no rule runs slot by slot, which is slow and no mistake: whether a stack pays is
    measured, so nobody needs torch's warning.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._functorch._set_vmap_fallback_warning_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch._C._functorch._set_vmap_fallback_warning_enabled(True)
        torch.backends.mha.set_fastpath_enabled(fast)


def needed(model: nn.Module) -> bool:
    """Whether *model* may call what :class:`SlotKernels` replaces.

    What modules from elsewhere call cannot be seen; torch's own attention calls past any such mode.
    """
    return any(
        not type(module).__module__.startswith(("torch.", __package__))
        or (isinstance(module, _BatchNorm) and module.num_features % ALIGNED)
        for module in model.modules()
    )


def loss_of(function: Callable[[Any, Any], Tensor], *sources: Source) -> Callable[..., Tensor]:
    """*function*; for the cross-entropy of class numbers one that batches in half the time.

    Args:
        sources: where the targets come from: torch leaves negative ones out of the mean.
    """
    if function is not functional.cross_entropy:
        return function
    for source in sources:
        if not isinstance(source, TensorSource) or source.y.is_floating_point():
            return function
        if bool((source.y < 0).any()):
            return function
    return _cross_entropy


def _cross_entropy(outputs: Tensor, y: Tensor) -> Tensor:
    """``torch.nn.functional.cross_entropy`` of ``[batch, classes, …]`` and class numbers."""
    if y.ndim != outputs.ndim - 1:
        return functional.cross_entropy(outputs, y)  # which says what is wrong
    if outputs.shape[1] < FEW_CLASSES:
        by_class = outputs.movedim(1, 0).contiguous()
        return -by_class.log_softmax(0).gather(0, y.unsqueeze(0)).mean()
    return -outputs.log_softmax(1).gather(1, y.unsqueeze(1)).mean()


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` of ``[batch, channels, …]``."""
    others = [dim for dim in range(x.ndim) if dim != 1]
    per_channel = [1, -1] + [1] * (x.ndim - 2)
    if training:
        n = x.numel() // x.shape[1]
        if n == 1:
            raise ValueError("batch normalisation needs more than one value a channel to train on")
        mean = x.mean(others)
        centred = x - mean.view(per_channel)
        var = (centred * centred).mean(others)
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.mul_(1 - momentum).add_(momentum * mean)
                running_var.mul_(1 - momentum).add_(momentum * (n / (n - 1)) * var)
    else:
        assert running_mean is not None
        assert running_var is not None
        centred, var = x - running_mean.view(per_channel), running_var
    scale = (var + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    found = centred * scale.view(per_channel)
    return found if bias is None else found + bias.view(per_channel)
