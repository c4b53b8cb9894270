"""The catalogue: the built-in panels and those of a user's own folder, by name. Knows no model and no environment."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from teams.model import PanelSpec
from teams.panel_file import FILE_LIMIT, BrokenPanel, load_panel, meant, quoted


class UnknownPanel(LookupError):
    """A panel asked for that the catalog does not have, as one sentence with the names it has."""

    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        super().__init__(f"there is no panel {quoted(name)}{meant(name, names)}; there are {', '.join(names)}")


@dataclass(frozen=True, slots=True)
class Catalog:
    """The panels there are, in the order of their names. `problems` has a sentence per file that could not be used."""

    panels: tuple[PanelSpec, ...]
    problems: tuple[str, ...] = ()
    default: str = "decision"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all panels, sorted."""
        return tuple(panel.name for panel in self.panels)

    def get(self, name: str) -> PanelSpec:
        """The panel of that name. Raises `UnknownPanel`."""
        for panel in self.panels:
            if panel.name == name:
                return panel
        raise UnknownPanel(name, self.names)

    def __iter__(self) -> Iterator[PanelSpec]:
        return iter(self.panels)


def load_catalog(extra: Path | None) -> Catalog:
    """The built-in panels and those of the folder `extra`, whose panels replace built-in ones of the same name.

    A file of `extra` that cannot be used becomes a problem. Raises `BrokenPanel` for a built-in file only.
    """
    own: dict[str, PanelSpec] = {}
    problems: list[str] = []
    for file in _files_of(extra, problems.append):
        try:
            panel = _read(file, str(file))
        except BrokenPanel as broken:
            problems.append(str(broken))
        except OSError as error:
            problems.append(f"{file} cannot be read ({error.strerror}); check its permissions or remove it")
        else:
            if panel.name in own:
                problems.append(f"{file}, line 1: another file names a panel {panel.name!r}; give one another 'name:'")
            own.setdefault(panel.name, panel)
    panels = {panel.name: panel for panel in _built_in()} | own
    return Catalog(tuple(panels[name] for name in sorted(panels)), tuple(problems))


@cache
def _built_in() -> tuple[PanelSpec, ...]:
    folder = files("teams").joinpath("panels")
    return tuple(_read(file, file.name) for file in folder.iterdir() if file.name.endswith(".yaml"))


def _files_of(folder: Path | None, tell: Callable[[str], None]) -> list[Path]:
    if folder is None:
        return []
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        tell(f"the folder of panels {folder} cannot be read ({error.strerror}); create it or correct PANELIST_PANELS")
        return []
    return [file for file in found if file.suffix in (".yaml", ".yml") and not file.name.startswith(".")]


def _read(file: Traversable | Path, origin: str) -> PanelSpec:
    if not file.is_file():
        raise BrokenPanel(origin, 1, "this is not a regular file; remove it or put a panel's file in its place")
    with file.open("rb") as stream:
        content = stream.read(FILE_LIMIT + 1)
    # Bytes that are no UTF-8 become surrogates, which the reader of YAML refuses with their place.
    return load_panel(content.decode(errors="surrogateescape"), origin)
