"""A stack: trials of one architecture, each a slot of one batched model, epoch by epoch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from automl_opt.core.result import Measurement
from automl_opt.training.data import Source, TensorSource, batch_sizes
from automl_opt.training.fused import kernels
from automl_opt.training.fused.alike import places, widest
from automl_opt.training.fused.arena import Arena, corner, padded
from automl_opt.training.fused.graph import Graph, Noise, Numbers
from automl_opt.training.fused.hooks import Stage, hooks_of, stages
from automl_opt.training.fused.kernels import SlotKernels
from automl_opt.training.fused.noise import SlotDropout, Stream
from automl_opt.training.fused.slots import Body, mapped, vmap
from automl_opt.training.fused.update import family, updates
from automl_opt.training.live import EVALUATED_AT_ONCE, LiveTrial
from automl_opt.training.randomness import seeded

Mixed = tuple[int, Tensor, Any]
"""A row, the targets of the examples that were mixed into its own, and the share of its own."""


class Stack:
    """Trains trials of one :func:`~automl_opt.training.fused.alike.signature` together.

    Their models become views of the stack's tensors, so that a trial can be evaluated, saved or
    trained on alone at any time between two epochs, after :meth:`sync`. What a slot computes does
    not depend on the others: no operation mixes rows, and a trial alone is trained with a twin,
    since some kernels treat a single row as none.

    Args:
        lives: any number from 1, in any order.
        spare: keep a last row that nobody looks at, for models where the last row alone is computed
            by other instructions.
        graph: computes losses and gradients of whole batches, where it is compiled.
    """

    def __init__(
        self, lives: Sequence[LiveTrial], spare: bool = False, graph: Graph | None = None
    ) -> None:
        self.graph = graph
        ordered = sorted(lives, key=lambda live: repr(family(live)))
        self.lives = ordered
        rows = ordered * 2 if len(ordered) == 1 else ordered + ordered[-1:] * spare
        self._rows = rows
        self._first = rows[0]
        self.template, self.dropouts = _template(rows)
        self.body = Body(self.template)
        self.arena = Arena(rows, self.template)
        self._updates = list(updates(rows, self.arena))
        self.setup = self._first.setup
        self._create_graph = [row for row, live in enumerate(rows) if live.step.create_graph]
        self._leaves = [value.detach().requires_grad_() for value in self.arena.values]
        splits = self._first.splits
        self.loss_of = kernels.loss_of(self._first.task.loss_function, splits.train, splits.valid)
        self.in_slots = kernels.needed(self.template)
        self._loss_stages = self._stages("loss")
        self._grad_stages = self._stages("grads")
        self._weight_stages = self._stages("weights")
        self._batch_rows = [
            row
            for row, live in enumerate(rows)
            if live.step.hooks["batch"] or live.step.hooks["mix"]
        ]
        self._schedules = [repr(live.trial.recipe.scheduler) for live in rows]
        self._averaged = [live for live in ordered if live.average]
        self._streams: list[Stream] = []
        self._sources: dict[int, torch.Generator] = {}

    def _stages(self, name: str) -> list[Stage]:
        return stages([hooks_of(live, name) for live in self._rows])

    @property
    def _weights(self) -> list[Tensor]:
        """Trainable parameters of two dimensions or more, the slots' not counted."""
        return [leaf for leaf in self._leaves if leaf.ndim > 2]

    # training

    def train_epoch(self) -> tuple[Tensor, list[int], list[bool]]:
        """One pass over the training split in every slot.

        Returns:
            ``[steps, trials]`` losses; the sizes of the steps' batches; for each trial, whether
            its weights are finite. In the order of ``lives``.
        """
        self.open_epoch()
        losses, sizes = [], []
        for i, (x, y) in enumerate(self.batches()):
            losses.append(self.step(i, x, y))
            sizes.append(y.shape[1])
        finite = self.arena.finite()
        n = len(self.lives)
        return torch.stack(losses)[:, :n], sizes, finite[:n]

    def steps(self, n: int, after: Callable[[], None] = lambda: None) -> Tensor:
        """Only the first *n* steps of an epoch, for a look at them; ``[steps, trials]`` losses.

        Args:
            after: called after each step.
        """
        self.open_epoch()
        losses = []
        for i, (x, y) in enumerate(islice(self.batches(), n)):
            losses.append(self.step(i, x, y))
            after()
        return torch.stack(losses)[:, : len(self.lives)]

    def look(self, x: Any, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Losses and gradients of a step that is not taken, the latter as the models have them."""
        x, others = self._mixed(x, y)
        losses, grads, _ = self.gradients(x, y, others)
        with torch.no_grad():
            grads = self._shaped(grads)
        return losses, [grads[place] for place in self.arena.places]

    def open_epoch(self) -> None:
        """Seed the slots' streams and table what the steps will need."""
        rows = self._rows
        self._streams = [Stream(live.trial.seeds.noise, "epoch", live.epoch) for live in rows]
        for site in self.dropouts:
            site.streams = self._streams
        self._sources = {row: rows[row].batch_generator() for row in self._batch_rows}
        self.template.train()
        factors = self._factors()
        for update in self._updates:
            update.open_epoch(factors)
        if self._weight_stages:
            lr = [
                [(live.base_lr[0] or 1.0) * factor for factor in own]
                for live, own in zip(rows, factors, strict=True)
            ]
            self._lr = _table(lr, self.arena.theta)

    def _factors(self) -> list[list[float]]:
        """Each row's for the coming epoch; what depends on the same is computed once."""
        known: dict[Hashable, list[float]] = {}
        found = []
        for live, schedule in zip(self._rows, self._schedules, strict=True):
            key = schedule, live.epoch, live.observed
            if key not in known:
                known[key] = live.factors()
            found.append(known[key])
        return found

    def batches(self) -> Iterator[tuple[Any, Tensor]]:
        """Every slot's batches in its own order, ``[slots, batch, …]``."""
        orders = [live.order() for live in self._rows]
        return self._batches("train", self._first.batch_size, orders)

    def _batches(
        self, split: str, size: int, orders: Sequence[Tensor | None]
    ) -> Iterator[tuple[Any, Tensor]]:
        """Of every slot's own *split*, which all are of one length."""
        sources: list[Source] = [getattr(live.splits, split) for live in self._rows]
        own = list(zip(sources, orders, strict=True))
        first = sources[0]
        if isinstance(first, TensorSource):  # and so are all, of the same tensors
            rows = torch.stack([cast(TensorSource, each).rows(order) for each, order in own])
            for chosen in rows.split(batch_sizes(len(first), size), dim=1):
                flat = chosen.flatten()  # whole examples are copied faster than elements
                x, y = (whole.index_select(0, flat) for whole in (first.x, first.y))
                yield x.unflatten(0, chosen.shape), y.unflatten(0, chosen.shape)
            return
        for batches in zip(*[each.batches(size, order) for each, order in own], strict=True):
            yield tree_map(lambda *parts: torch.stack(parts), *batches)

    def step(self, i: int, x: Any, y: Tensor) -> Tensor:
        """Step *i* of the epoch on ``[slots, batch, …]``; each slot's loss before it."""
        x, others = self._mixed(x, y)
        losses, flat, bent = self._slopes(x, y, others)
        with torch.no_grad():
            for update in self._updates:
                update.step(i, flat, bent)
            self.arena.clear()
            if self._weight_stages:
                self._shape_weights(self._lr[i])
            for live in self._averaged:
                live.average.update(live.epoch * live.steps + i)
        return losses

    def _slopes(
        self, x: Any, y: Tensor, others: Sequence[Mixed]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Losses, gradients after their hooks, and curvature; the latter two ``[slots, width]``."""
        if self.graph is not None and y.shape[1] == self.graph.batch:
            with torch.no_grad():
                losses, flat = self.graph(*self.given(x, y, self.graph.noises))
                if self._grad_stages:
                    flat = self.arena.joined(self._shaped(self.arena.views(flat)))
            return losses, flat, None
        losses, grads, curvature = self.gradients(x, y, others)
        with torch.no_grad():
            flat = self.arena.joined(self._shaped(grads))
            return losses, flat, None if curvature is None else self.arena.joined(curvature)

    def given(self, x: Any, y: Tensor, noises: Sequence[Noise]) -> tuple[Any, ...]:
        """What a graph takes; the noise is drawn."""
        drawn = [self.dropouts[noise.site].drawn(noise.shape, noise.dtype) for noise in noises]
        return self.arena.theta, self.arena.kept, self._loss_numbers, drawn, x, y

    @cached_property
    def _loss_numbers(self) -> Numbers:
        """Of every hook on the loss, which all slots have, its numbers by slot."""
        each = zip(*[hooks_of(live, "loss") for live in self._rows], strict=True)
        like = self.arena.theta
        return [
            {
                name: torch.tensor([hook.numbers[name] for hook in own], dtype=torch.float64).to(
                    like
                )
                for name in own[0].numbers
            }
            for own in each
        ]

    def _mixed(self, x: Any, y: Tensor) -> tuple[Any, list[Mixed]]:
        """The inputs after the hooks on batches, and ``(row, other targets, share)`` of the mixed.

        These hooks draw from a generator of the slot's own: they run slot by slot.
        """
        others: list[Mixed] = []
        if not self._batch_rows:
            return x, others
        y = y.clone()
        x = mapped(torch.clone, x)
        for row in self._batch_rows:
            with self._streams[row].installed():
                own_x, targets = self._rows[row].step.prepared(
                    _row(x, row), y[row], self._sources[row]
                )
            tree_map(_put, _row(x, row), own_x)
            _put(y[row], targets[0][0])
            if len(targets) > 1:
                others.append((row, targets[1][0], targets[0][1]))
        return x, others

    def gradients(
        self, x: Any, y: Tensor, others: Sequence[Mixed] = ()
    ) -> tuple[Tensor, list[Tensor], list[Tensor] | None]:
        """Each slot's loss and gradients, of all pieces where the batch is run in several."""
        bent = bool(self._create_graph)
        examples = y.shape[1]
        size = math.ceil(examples / self._first.step.accumulate)
        total: Tensor | None = None
        grads: list[Tensor] = []
        for start in range(0, examples, size):
            piece = slice(start, start + size)
            part_x, part_y = _row((x, y), (slice(None), piece))
            part = [(row, other[piece], share) for row, other, share in others]
            loss = self.losses(part_x, part_y, part)
            if size < examples:
                loss = loss * (part_y.shape[1] / examples)
            own = torch.autograd.grad(loss.sum(), self._leaves, create_graph=bent)
            grads = [a + b for a, b in zip(grads, own, strict=True)] if grads else list(own)
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None, "a batch has at least one example"
        curvature = self._curvature(grads) if bent else None
        return total, [grad.detach() for grad in grads], curvature

    def losses(self, x: Any, y: Tensor, others: Sequence[Mixed] = ()) -> Tensor:
        """Each slot's regularised loss, ``[slots]``, with its graph."""
        loss_of = self._first.task.loss_function
        outputs, losses = self._forward(self._leaves, x, y)
        losses = self._regularized(losses, outputs, y)
        for row, other, share in others:
            with self.setup.precision():
                second = loss_of(_row(outputs, row), other)
            for hook in self._rows[row].step.hooks["loss"]:
                weights = [
                    corner(weight[row], own.shape)
                    for weight, own in zip(self._weights, self._rows[row].step.weights, strict=True)
                ]
                second = hook(second, weights, _row(outputs, row), other)
            mixed = share * losses[row] + (1 - share) * second
            losses = losses.index_put((torch.tensor(row),), mixed.to(losses.dtype))
        return losses

    def kept(self, x: Any, y: Tensor) -> int:
        """The bytes that a forward pass keeps for its way back, weights and inputs included."""
        found: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            whole = tensor.untyped_storage()
            found[whole.data_ptr()] = whole.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            self.losses(x, y)
        return sum(found.values())

    def _forward(self, values: Sequence[Tensor], x: Any, y: Tensor) -> tuple[Any, Tensor]:
        """Outputs and losses of all slots on ``[slots, batch, …]``."""
        names, loss_of = self.arena.names, self.loss_of

        def one(values: Sequence[Tensor], kept: dict[str, Tensor], x: Any, y: Tensor) -> Any:
            tensors = {**dict(zip(names, values, strict=True)), **kept}
            inside = SlotKernels(self._streams, values[0]) if self.in_slots else nullcontext()
            with inside:
                outputs = self.body(tensors, x)
                return outputs, loss_of(outputs, y)

        with self.setup.precision(), kernels.batching():
            found: tuple[Any, Tensor] = vmap(one, values, self.arena.kept, x, y)
        return found

    def _regularized(self, losses: Tensor, outputs: Any, y: Tensor) -> Tensor:
        for stage in self._loss_stages:
            args = (losses, stage.own_weights(self._weights), outputs, y)
            found = stage.call(len(self._rows), *args, like=losses)
            losses = (
                found
                if len(stage.rows) == len(self._rows)
                else losses.index_copy(0, stage.index(losses), found)
            )
        return losses

    def _curvature(self, grads: list[Tensor]) -> list[Tensor]:
        """The Hessian's diagonal, estimated with every slot's own random signs."""
        signs = [torch.zeros_like(leaf) for leaf in self._leaves]
        for row in self._create_graph:
            groups = self.arena.groups_of(self._rows[row])
            params = self.arena.parameters_of(self._rows[row])
            for at in sorted(range(len(signs)), key=lambda at: (groups[at], at)):
                shape = params[at].shape
                drawn = torch.randint(
                    2,
                    shape,
                    generator=self._streams[row].generator,
                    dtype=signs[at].dtype,
                )
                corner(signs[at][row], shape).copy_(drawn * 2 - 1)
        products = torch.autograd.grad(grads, self._leaves, signs, materialize_grads=True)
        return [sign * product for sign, product in zip(signs, products, strict=True)]

    def _shaped(self, grads: list[Tensor]) -> list[Tensor]:
        """The gradients after the hooks on gradients, which see them as the model has them."""
        if not self._grad_stages:
            return grads
        slots, places = len(self._rows), self.arena.places
        grads = [grads[place] for place in places]
        values = [self.arena.values[place] for place in places]
        for stage in self._grad_stages:
            own, theirs = stage.own(grads), stage.own(values)
            if not stage.one_by_one:
                try:
                    found = stage.call(slots, own, theirs, like=grads[0])
                except RuntimeError:  # draws random numbers, or asks for a value: slot by slot
                    stage.one_by_one = True
            if stage.one_by_one:
                found = [grad.new_empty(len(stage.rows), *grad.shape[1:]) for grad in own]
                for at, row in enumerate(stage.rows):
                    given = [grad[row].contiguous() for grad in own], [v[row] for v in theirs]
                    shaped = stage.alone(row, self._streams[row], *given)
                    for whole, new in zip(found, shaped, strict=True):
                        whole[at] = new
            found = [padded(new, grad.shape[1:]) for new, grad in zip(found, grads, strict=True)]
            if len(stage.rows) == slots:
                grads = list(found)
            else:
                index = stage.index(grads[0])
                pairs = zip(grads, found, strict=True)
                grads = [old.index_copy(0, index, new) for old, new in pairs]
        return [grads[places.index(at)] for at in range(len(places))]

    def _shape_weights(self, lr: Tensor) -> None:
        """The hooks on weights, in place."""
        for stage in self._weight_stages:
            weights = [value for value in self.arena.values if value.ndim > 2]
            given = [weight.clone() for weight in stage.own_weights(weights)]
            found = stage.call(len(self._rows), given, lr, like=lr)
            for weight, new in zip(weights, found, strict=True):
                weight.index_copy_(0, stage.index(lr), padded(new, weight.shape[1:]))

    # between epochs

    @torch.no_grad()
    def evaluate(self, split: str) -> list[Callable[[], tuple[Measurement, ...]]]:
        """Loss and metrics over a whole *split*, in the order of ``lives``, each when called.

        A trial with an average is evaluated alone, since its statistics may have to be taken anew,
        and so is one whose optimizer keeps other weights for it.
        """
        self.template.eval()
        self._streams = []  # no slot draws in an evaluation
        size = EVALUATED_AT_ONCE * self._first.batch_size
        losses = torch.zeros(len(self._rows), dtype=torch.float64)
        outputs, targets = [], []

        examples = len(getattr(self._first.splits, split))
        for x, y in self._batches(split, size, [None] * len(self._rows)):
            output, value = self._forward(self.arena.values, x, y)
            losses += value.double().cpu() * (y.shape[1] / examples)
            if self._first.task.metrics:
                outputs.append(output)
                targets.append(y)

        def numbers(row: int, live: LiveTrial) -> tuple[Measurement, ...]:
            if live.average or hasattr(live.optimizer, "eval"):
                return live.evaluate(getattr(live.splits, split), split)
            own = [_row(output, row) for output in outputs]
            truth = [_row(target, row) for target in targets]
            with seeded(live.trial.seeds.noise, "evaluate", split, live.epoch):
                return live.measured(split, float(losses[row]), own, truth)

        return [partial(numbers, row, live) for row, live in enumerate(self.lives)]

    def sync(self, live: LiveTrial) -> None:
        """Let the trial's own optimizer have its state, as views of the stack's."""
        row = self.lives.index(live)
        for update in self._updates:
            if row in update.rows:
                update.give_back(row)

    def snapshot(self) -> Callable[[], None]:
        """What undoes everything that happens to the trials from now on."""
        tensors = [self.arena.theta, *self.arena.buffers]
        before = [tensor.clone() for tensor in tensors]
        averages = [copy.deepcopy(live.average.state_dict()) for live in self._averaged]
        undo = [update.snapshot() for update in self._updates]

        @torch.no_grad()
        def restore() -> None:
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
            for live, state in zip(self._averaged, averages, strict=True):
                live.average.load_state_dict(state)
            for each in undo:
                each()

        return restore


def _template(lives: Sequence[LiveTrial]) -> tuple[nn.Module, list[SlotDropout]]:
    """The code of the models, whose tensors do not matter; and its dropouts.

    It has a dropout wherever one of the models has one.
    """
    rates: dict[str, list[float]] = {}
    for row, live in enumerate(lives):
        for place in places(live.model):
            if place.dropout is not None:
                rates.setdefault(place.path, [0.0] * len(lives))[row] = place.dropout.p
    _, template = widest(lives[0])
    if template is lives[0].model:
        own = [*template.parameters(), *template.buffers()]
        template = copy.deepcopy(template, {id(tensor): tensor for tensor in own})
    sites: dict[Hashable, nn.Module] = {}  # a module that is used twice stays one
    dropouts: list[SlotDropout] = []
    for path, parent, name, module, dropout in list(places(template)):
        if path not in rates:
            continue
        key = id(module), *rates[path]
        if key not in sites:
            dropouts.append(SlotDropout(rates[path]))
            sites[key] = dropouts[-1]
            if module is not dropout:
                sites[key] = nn.Sequential(module, dropouts[-1])
        if parent is None:
            return sites[key], dropouts
        setattr(parent, name, sites[key])
    return template, dropouts


def _row(tensors: Any, row: Any) -> Any:
    return mapped(lambda tensor: tensor[row], tensors)


def _put(place: Tensor, value: Tensor) -> None:
    if value.shape != place.shape or value.dtype != place.dtype:
        raise TypeError("a regularizer changes the shape or type of a batch")
    place.copy_(value)


def _table(columns: Sequence[Sequence[float]], like: Tensor) -> Tensor:
    """``[steps, slots]`` from a list of numbers a slot."""
    return torch.tensor(columns, dtype=torch.float64).T.contiguous().to(like.device, like.dtype)
