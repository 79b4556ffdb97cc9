"""The commands of ``gradsmith cache``: where the kernel cache is, what it holds, emptying it."""

from __future__ import annotations

import typer

from gradsmith.cli.console import FAILED, note, show, table

SETTINGS = (
    "Environment variables: GRADSMITH_CACHE_DIR is its directory (empty, 0 or off: nothing is "
    "kept); GRADSMITH_CACHE_SIZE how many MiB it may take, 256 if left out."
)

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Show or empty the kernel cache: what one process compiles, the next one loads.",
    epilog=f"Example: [cyan]gradsmith cache show[/]\n\n{SETTINGS}",
)


@commands.command("show", epilog=f"Example: [cyan]gradsmith cache show[/]\n\n{SETTINGS}")
def show_() -> None:
    """Show where it is, what it holds and whether it works."""
    from gradsmith.backends.cache import store

    found = store().survey()
    rows = [("directory", "none" if found.path is None else str(found.path))]
    rows += [(f"{kind.label}s", str(count)) for kind, count in found.count.items()]
    rows += [
        ("size", f"{amount(found.size)} of {amount(found.limit)}"),
        ("records are used", found.unreadable or "yes"),
        ("new ones are kept", found.unwritable or "yes"),
    ]
    table(("", "here"), rows)


@commands.command(epilog='Example: [cyan]du -sh "$(gradsmith cache path)"[/]')
def path() -> None:
    """Print its directory, which need not be there yet; exits with 1 if it is turned off."""
    from gradsmith.backends.cache import store

    records = store()
    if records.path is None:
        note(f"there is no kernel cache: {records.problem}")
        raise typer.Exit(FAILED)
    show(str(records.path))


@commands.command(epilog="Example: [cyan]gradsmith cache clear[/]")
def clear() -> None:
    """Remove all that it holds, and no other file; exits with 1 if something could not be."""
    from gradsmith.backends.cache import store

    records = store()
    if records.path is None:
        note(f"there is no kernel cache: {records.problem}")
        return
    removed = records.clear()
    noun = "record" if removed.count == 1 else "records"
    show(f"removed {removed.count:,} {noun}, {amount(removed.size)}: {records.path}")
    if removed.problem is not None:
        note(f"some could not be removed: {removed.problem}")
        raise typer.Exit(FAILED)


def amount(size: int) -> str:
    """Bytes, to read."""
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.0f} KiB"
