"""A group of commands that answers an unknown one with the nearest right one."""

from __future__ import annotations

import click

from automl_opt.core.errors import did_you_mean


class Group(click.Group):
    """As click's, which lists nothing and has no suggestion for commands that load lazily."""

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = words[0]
        if not name.startswith("-") and self.get_command(context, name) is None:
            known = self.list_commands(context)
            context.fail(f"no command named {name!r}; {did_you_mean(name, known)}")
        return super().resolve_command(context, words)
