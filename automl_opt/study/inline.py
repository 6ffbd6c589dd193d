"""Takes functions and classes out of their modules, with all they stand on, as one text."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from automl_opt.core.errors import VerdictError

Definition: TypeAlias = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
Edit: TypeAlias = tuple[int, int, int, str]
"""Line from 1, first and last byte in it, and what takes their place."""


@dataclass(frozen=True)
class Imported:
    """What a name stands for: *name* of *module*, or with ``None`` the module itself."""

    module: str
    name: str | None

    def statement(self, alias: str) -> str:
        if self.name is None:
            plain = alias == self.module
            return f"import {self.module}" + ("" if plain else f" as {alias}")
        renamed = "" if alias == self.name else f" as {alias}"
        return f"from {self.module} import {self.name}{renamed}"


class Source:
    """One module's text: what it defines and what it imports."""

    def __init__(self, module: str) -> None:
        found = importlib.util.find_spec(module)
        if found is None or not found.origin or not found.origin.endswith(".py"):
            raise VerdictError(f"the source of {module} cannot be read, so it cannot be exported")
        self.module = module
        self.lines = Path(found.origin).read_bytes().splitlines()
        self.tree = ast.parse(b"\n".join(self.lines))

    @cached_property
    def definitions(self) -> dict[str, Definition]:
        found: dict[str, Definition] = {}
        for node in self.tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found[node.name] = node
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = node
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found[node.target.id] = node
        return found

    @cached_property
    def imports(self) -> dict[str, Imported]:
        """At the top of the module, those for type checkers included."""
        nodes: list[ast.stmt] = []
        for node in self.tree.body:
            nodes += node.body if isinstance(node, ast.If) else [node]
        return dict(pair for node in nodes for pair in imported(node))


def imported(node: ast.AST) -> Iterator[tuple[str, Imported]]:
    """The names that an import statement binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            yield name, Imported(alias.name if alias.asname else name, None)
    elif isinstance(node, ast.ImportFrom) and node.module and node.module != "__future__":
        for alias in node.names:
            yield alias.asname or alias.name, Imported(node.module, alias.name)


@dataclass
class Inliner:
    """Gathers definitions and the imports they need.

    Args:
        is_ours: whether a module is to be written out; others are imported.
    """

    is_ours: Callable[[str], bool]
    imports: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)
    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _sources: dict[str, Source] = field(default_factory=dict)

    def take(self, code: Any) -> str:
        """Write out *code*, a function or ``"module:name"``; its name in the text.

        Raises:
            VerdictError: it is no plain function or class of a module with a source.
        """
        if isinstance(code, str):
            module, _, name = code.partition(":")
        else:
            module, name = getattr(code, "__module__", ""), getattr(code, "__qualname__", "")
        if not name.isidentifier():
            raise VerdictError(
                f"{name or code!r} of {module or 'nowhere'} is made when it runs; only functions "
                "and classes of a module can be exported"
            )
        if not self.is_ours(module):
            self.imports.add(Imported(module, name).statement(name))
            return name
        return self._define(module, name)

    def _source(self, module: str) -> Source:
        if module not in self._sources:
            self._sources[module] = Source(module)
        return self._sources[module]

    def _define(self, module: str, name: str) -> str:
        if (module, name) in self._names:
            return self._names[module, name]
        source = self._source(module)
        if name in source.imports and name not in source.definitions:  # handed on
            behind = source.imports[name]
            return self.take(f"{behind.module}:{behind.name}")
        if name not in source.definitions:
            raise VerdictError(f"{module} defines no {name!r} that could be exported")
        node = source.definitions[name]
        stem = module.rpartition(".")[2]
        separator = "" if name.startswith("_") else "_"
        as_type = name[0].isupper() and not name.isupper()
        new = name if as_type else f"{stem}{separator}{name}"
        if new in self._names.values():
            new = f"{stem}_{name}"
        self._names[module, name] = new
        self.texts.append(_edited(source, node, self._edits(source, node, new)))
        return new

    def _edits(self, source: Source, node: Definition, new: str) -> list[Edit]:
        """What changes in the text of *node*: names of ours, and imports of ours inside."""
        inner = [each for each in ast.walk(node) if isinstance(each, (ast.Import, ast.ImportFrom))]
        ours = [each for each in inner if any(self.is_ours(i.module) for _, i in imported(each))]
        known = {**source.imports, **dict(pair for each in ours for pair in imported(each))}
        edits: list[Edit] = []
        for each in ours:
            edits += [(line, 0, -1, "") for line in range(each.lineno, _last(each) + 1)]
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            word = "def" if isinstance(node, ast.FunctionDef) else "class"
            start = source.lines[node.lineno - 1].index(word.encode()) + len(word) + 1
            edits.append((node.lineno, start, start + len(node.name.encode()), new))
        for use, local in _uses(node, frozenset(), {name for e in ours for name, _ in imported(e)}):
            base = use.value if isinstance(use, ast.Attribute) else use
            assert isinstance(base, ast.Name)
            if base.id in local:
                continue
            behind = known.get(base.id)
            replacement = None
            if base.id in source.definitions and isinstance(use, ast.Name):
                replacement = self._define(source.module, base.id)
            elif behind is not None and not self.is_ours(behind.module):
                self.imports.add(behind.statement(base.id))
            elif behind is not None and isinstance(use, ast.Attribute) and behind.name is not None:
                submodule = f"{behind.module}.{behind.name}"
                if importlib.util.find_spec(submodule) is not None:
                    replacement = self._define(submodule, use.attr)
            elif behind is not None and behind.name is not None and not _is_module(behind):
                replacement = self._define(behind.module, behind.name)
            if replacement is not None:
                edits.append((use.lineno, use.col_offset, use.end_col_offset or 0, replacement))
        return edits


def _is_module(what: Imported) -> bool:
    try:
        return importlib.util.find_spec(f"{what.module}.{what.name}") is not None
    except ModuleNotFoundError:  # what it is part of is no package
        return False


def _uses(
    node: ast.AST, local: frozenset[str], not_local: set[str]
) -> Iterator[tuple[ast.Name | ast.Attribute, frozenset[str]]]:
    """Every name and ``name.attribute`` in *node*, with the local names where it stands."""
    if isinstance(node, (ast.FunctionDef, ast.Lambda)):
        arguments = node.args
        args = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        args += [each for each in (arguments.vararg, arguments.kwarg) if each]
        stored = {
            each.id
            for each in ast.walk(node)
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        }
        inner = {
            name
            for each in ast.walk(node)
            if isinstance(each, (ast.Import, ast.ImportFrom))
            for name, _ in imported(each)
        }
        nested = {
            each.name
            for each in ast.walk(node)
            if isinstance(each, ast.FunctionDef) and each is not node
        }
        local = local | {a.arg for a in args} | stored | (inner - not_local) | nested
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield node, local
        if node.value.id not in local:
            yield node.value, local
        return
    if isinstance(node, ast.Name):
        yield node, local
        return
    for child in ast.iter_child_nodes(node):
        yield from _uses(child, local, not_local)


def _last(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _edited(source: Source, node: Definition, edits: list[Edit]) -> str:
    """The text of *node* with *edits*, decorators included; lines left empty by them go."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    by_line: dict[int, list[Edit]] = {}
    for edit in sorted(set(edits)):
        by_line.setdefault(edit[0], []).append(edit)
    lines = []
    for number in range(first, _last(node) + 1):
        line = source.lines[number - 1]
        changes = by_line.get(number, [])
        if any(stop == -1 for _, _, stop, _ in changes):
            continue
        for _, start, stop, text in reversed(changes):
            line = line[:start] + text.encode() + line[stop:]
        lines.append(line.decode())
    return "\n".join(lines)
