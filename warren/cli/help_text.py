"""How the help of a command is printed."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions


class HelpFormatter:
    """The formatter of cyclopts, but paragraphs of docstrings fill the width of the terminal."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        from cyclopts.help.formatters import DefaultFormatter

        DefaultFormatter()(console, options, panel)

    def render_usage(self, console: "Console", options: "ConsoleOptions", usage: Any) -> None:
        from cyclopts.help.formatters import DefaultFormatter

        DefaultFormatter().render_usage(console, options, usage)

    def render_description(self, console: "Console", options: "ConsoleOptions", description: Any) -> None:
        """Print a docstring. `description` holds it as text, or nothing if there is none."""
        text = getattr(description, "primary_renderable", None)
        if text is not None:
            console.print(f"{unwrap(text.plain)}\n", markup=False, highlight=False, emoji=False)


def unwrap(text: str) -> str:
    """Join the lines of each paragraph. An indented line, such as an example, stays a line of its own."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text)
