"""What may differ between a study file and the study that its database began with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from automl_opt.core.errors import StoreError, StudyChanged
from automl_opt.core.spec import StudySpec
from automl_opt.plugin.catalog import Catalog
from automl_opt.search.space import RecipeSpace
from automl_opt.store import Store

MAY_CHANGE = {
    "question",
    "arms",  # what the compared kind names, spelt out
    "[search] trials",
    "[search] time_limit",
    "[training] device",
    "[training] threads",
    "[training] together",
    "[training] compile",
    "[training] workers",
    "[training] executor",
    "[training] checkpoint_every",
    "[training] checkpoints",
    "[ranges]",  # looked at arm by arm, as part of the search space
}
"""Settings of a study that may differ from those it began with."""


def refuse_changes(
    spec: StudySpec, spaces: list[RecipeSpace], store: Store, catalog: Catalog
) -> None:
    """Raise :class:`StudyChanged` where *spec* is not the study that the database began."""
    began = store.studies(spec.name)
    if not began:
        return
    advice = "Set it back, or give the study another name or another --storage."
    stored = json.loads(began[0].spec_json)
    now = json.loads(json.dumps(spec.settings()))
    for key in {**now, **stored}:  # in the order of the file: what follows from a key comes later
        if key in MAY_CHANGE or key == f"[space] {spec.compare}" == f"[space] {stored['compare']}":
            continue
        if now.get(key) != stored.get(key):
            raise StudyChanged(
                f"{spec.source}, {key}: is {_short(now.get(key))}, but the study {spec.name!r} in "
                f"{store.shown_url} began with {_short(stored.get(key))}. {advice}"
            )
    by_arm = {row.arm: row for row in began}
    for space in spaces:
        row = by_arm.get(space.arm)
        if row is not None and row.space_hash != space.space.fingerprint():
            name, old, new = _first_difference(row.space_json, space.space.to_json())
            raise StudyChanged(
                f"{spec.source}, arm {space.arm!r}: the range of {name} is {_short(new)}, but the "
                f"study {spec.name!r} in {store.shown_url} began with {_short(old)}. {advice}"
            )
    arms = {space.arm for space in spaces}
    parts = {
        (role, part.id, part.version)
        for row in store.trials(spec.name)
        if row.arm in arms
        for role, part in row.trial.recipe.parts()
    }
    for role, component_id, old_version in sorted(parts):
        new_version = catalog.find(role, component_id).spec.version
        if new_version != old_version:
            raise StudyChanged(
                f"{spec.source}: {role} {component_id} is version {new_version}, but the study "
                f"{spec.name!r} in {store.shown_url} has trials of version {old_version}. Install "
                "that one, or give the study another name or another --storage."
            )


def as_begun(spec: StudySpec, spaces: Sequence[RecipeSpace], store: Store) -> StudySpec:
    """*spec* with the budget of the study that has begun, for a process that joins it.

    Raises:
        StoreError: no such study has begun.
        StudyChanged: it has other arms.
    """
    began = store.studies(spec.name)
    if not began:
        raise StoreError(
            f"study {spec.name!r} is not in {store.shown_url} yet: 'automl-opt run' begins it"
        )
    stored = json.loads(began[0].spec_json)
    arms = [space.arm for space in spaces]
    if arms != stored["arms"]:
        raise StudyChanged(
            f"{spec.source}: has the arms {_short(arms)}, but the study {spec.name!r} in "
            f"{store.shown_url} {_short(stored['arms'])}; a worker needs the same study file"
        )
    return replace(
        spec,
        trials=stored["[search] trials"],
        time_limit_s=stored["[search] time_limit"],
        allocation=stored.get("[search] allocation", "equal"),
    )


def _first_difference(old: str, new: str) -> tuple[str, Any, Any]:
    before: Mapping[str, Any] = {entry["name"]: entry for entry in json.loads(old)}
    after: Mapping[str, Any] = {entry["name"]: entry for entry in json.loads(new)}
    for name in [*after, *before]:
        if before.get(name) != after.get(name):
            return name, before.get(name), after.get(name)
    return "the entries", "another order", "this order"


def _short(value: Any) -> str:
    if value is None:
        return "not there"
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key not in ("name", "when") or item}
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else text[:157] + "…"
