"""Quantum-inspired evolution: strings of q-bits that are observed, and rotated to what was best."""

from __future__ import annotations

import math

import numpy as np

from automl_opt.api import SearchSpace
from automl_opt.builtin.search import Drafts, History, Space
from automl_opt.builtin.strategies.samplers.drafting import DraftingSampler
from automl_opt.builtin.strategies.samplers.moves import Array, filled

WINDOW = 400
"""Older trials turn no q-bit any more: their weight has faded."""


class QuantumEvolution(DraftingSampler):
    """A q-bit is an angle θ, seen as 1 with probability sin²θ; observing a string gives a point.

    Han & Kim 2002, "Quantum-inspired evolutionary algorithm for a class of combinatorial
    optimization", doi:10.1109/TEVC.2002.804320. Each trial rotates the q-bits of its individual by
    *rotation* towards the best trial of its time, in the bits in which they differ. Individuals
    take turns and share that best, which is the paper's global migration; the angles are kept from
    0 and π/2 (its H_ε gate: Han & Kim 2004, doi:10.1109/TEVC.2004.823467). Numbers are strings in
    Gray's code (neighbours differ in one bit) and get, below the last bit, a uniform remainder;
    choices are strings taken modulo their count. Unlike there, rotations add up and fade by
    *memory* a trial, which needs no order of clipping and follows a best that moves.

    Args:
        individuals: strings of q-bits.
        bits: of a number.
        rotation: in multiples of π.
        memory: what is left of a rotation one trial of its individual later.
        floor: the least probability of either bit.
    """

    def __init__(
        self,
        *,
        space: SearchSpace | None,
        seed: int | None,
        screen: bool,
        individuals: int,
        bits: int,
        rotation: float,
        memory: float,
        floor: float,
    ) -> None:
        super().__init__(space=space, seed=seed, screen=screen)
        self._individuals, self._bits = individuals, bits
        self._rotation, self._memory, self._floor = rotation, memory, floor

    def draft(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        code = Code(history.space, self._bits)
        mine = history.index % self._individuals
        if self._screen:
            ones = np.concatenate(
                [
                    self._observed(history, code, k, rng, math.ceil(n / self._individuals))
                    for k in range(self._individuals)
                ]
            )
        else:
            ones = self._observed(history, code, mine, rng, n)
        notes = [{"individual": mine}] * len(ones)
        return Drafts(code.genes(ones, rng), f"observed individual {mine}", notes)

    def _observed(
        self, history: History, code: Code, individual: int, rng: np.random.Generator, n: int
    ) -> Array:
        """Bits ``[n, bits]`` of the individual."""
        angle = self._angles(history, code, individual)
        probability = np.clip(np.sin(angle) ** 2, self._floor, 1 - self._floor)
        return (rng.random((n, code.width)) < probability).astype(float)

    def _angles(self, history: History, code: Code, individual: int) -> Array:
        first = max(0, len(history) - WINDOW)
        rows = np.arange(first, len(history))
        loss = history.loss[rows]
        lowest = np.minimum.accumulate(loss)
        best = np.maximum.accumulate(np.where(loss <= lowest, np.arange(len(rows)), 0))
        if first:  # the best of all may be older than the window
            older = int(np.argmin(history.loss[:first]))
        own = np.array(
            [history.notes[row].get("individual", row % self._individuals) for row in rows.tolist()]
        )
        mine = np.flatnonzero(own == individual)
        needed = np.unique(np.concatenate([mine, best[mine]])).astype(int)
        rng = np.random.default_rng([history.seed, 2])
        genes = filled(history, history.genes[rows[needed]], rng)
        bits = np.zeros((len(rows), code.width))
        bits[needed] = code.bits(genes)
        target = bits[best[mine]]
        if first:
            top = code.bits(filled(history, history.genes[[older]], rng))[0]
            target[lowest[mine] > history.loss[older]] = top
        age = np.arange(len(mine))[::-1]
        turned = (self._memory**age) @ (target - bits[mine]) if len(mine) else 0.0
        return np.clip(
            math.pi / 4 + self._rotation * math.pi * turned + np.zeros(code.width), 0, math.pi / 2
        )


class Code:
    """Genes as strings of bits.

    Args:
        bits: of a number; a choice has as many as it needs.
    """

    def __init__(self, space: Space, bits: int) -> None:
        self._space = space
        self._sizes = [
            0 if single else bits if numeric else max(1, math.ceil(math.log2(max(2, choices))))
            for numeric, choices, single in zip(
                space.numeric, space.choices, space.single, strict=True
            )
        ]
        self._ends = np.cumsum(self._sizes)
        self.width = int(self._ends[-1])

    def bits(self, genes: Array) -> Array:
        """``[n, width]`` of zeros and ones, of *genes* without NaN."""
        found = np.zeros((len(genes), self.width))
        for column, (size, end) in enumerate(zip(self._sizes, self._ends, strict=True)):
            if not size:
                continue
            number = genes[:, column]
            if self._space.numeric[column]:
                number = np.minimum(np.floor(number * 2**size), 2**size - 1)
            whole = number.astype(np.int64)
            gray = whole ^ (whole >> 1)
            found[:, end - size : end] = gray[:, None] >> np.arange(size)[::-1] & 1
        return found

    def genes(self, bits: Array, rng: np.random.Generator) -> Array:
        genes = np.where(self._space.numeric, 0.5, 0.0) * np.ones((len(bits), 1))
        for column, (size, end) in enumerate(zip(self._sizes, self._ends, strict=True)):
            if not size:
                continue
            plain = np.bitwise_xor.accumulate(bits[:, end - size : end].astype(np.int64), axis=1)
            number = plain @ (1 << np.arange(size)[::-1])
            if self._space.numeric[column]:
                genes[:, column] = (number + rng.random(len(bits))) / 2**size
            else:
                genes[:, column] = number % self._space.choices[column]
        return genes
