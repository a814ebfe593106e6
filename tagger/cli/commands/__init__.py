"""The commands, one a file: what each takes, which workflow does it, and what is printed; nothing else.

A file holds a function `command`, which typer reads, or a `group` of commands, and is imported only when its command
is asked for. What several
commands share is in `onnx_tagger.cli.app` and `onnx_tagger.cli.options`.
"""

from __future__ import annotations

from importlib import import_module

from onnx_tagger.cli.app import app

# Command names under the headings of --help; `a-b` is the file `a_b.py`.
GROUPS: dict[str, tuple[str, ...]] = {
    "Start": ("demo",),
    "Tag": ("export", "capture", "infer", "retag", "carry", "each", "strip"),
    "Look": ("tree", "show", "nodes", "stats", "diff", "view", "functions", "passes"),
    "Gate": ("check", "config", "rules", "fleet"),
    "Measure": ("profile", "profile-diff", "attribute", "compare", "sensitivity", "bench", "strategies"),
    "Change": ("quantize", "optimize", "extract", "splice", "split", "place"),
}

_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}


def load(name: str) -> None:
    """Import a command and add it to the application, unless it is there already."""
    there = {found.name for found in app.registered_commands} | {found.name for found in app.registered_groups}
    if name not in there:
        module = import_module(f"{__name__}.{name.replace('-', '_')}")
        if hasattr(module, "group"):
            app.add_typer(module.group, name=name, rich_help_panel=_GROUP_OF[name])
            return
        epilog = getattr(module, "EPILOG", None)
        app.command(name, rich_help_panel=_GROUP_OF[name], epilog=epilog)(module.command)
        # Help lists commands in the order in which they were added, which must not depend on what ran before.
        order = list(_GROUP_OF)
        app.registered_commands.sort(key=lambda found: order.index(found.name or ""))


def load_for(word: str | None) -> None:
    """Import the command that a word names, or all of them where help or advice will list them."""
    for name in [word] if word in _GROUP_OF else _GROUP_OF:
        load(name)
    # A process that runs several command lines has imported them in the order in which they were asked for.
    order = list(_GROUP_OF)
    app.registered_commands.sort(key=lambda found: order.index(found.name or ""))
