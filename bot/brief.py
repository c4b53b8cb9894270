"""The brief: all that a run is asked, whichever command and front end it came from."""

from dataclasses import dataclass, field

from bot.links import Link
from teams.events import Team
from teams.model import PanelInputs, PanelSpec, Source
from teams.quoting import quoted, quoted_lines


@dataclass(frozen=True, slots=True)
class Brief:
    """What a run is asked. Plain JSON in the run database (`teams.wire`), so that it outlives the process.

    `links` are those in the topic, with what became of each; what they say is among the `sources`. `library` is the
    folder that is searched instead of the library of the process.
    """

    team: Team
    topic: str
    panel: PanelSpec | None = None
    sources: tuple[Source, ...] = field(default=(), repr=False)
    profile: str = ""
    pillars: str = ""
    links: tuple[Link, ...] = ()
    library: str = ""

    @property
    def inputs(self) -> PanelInputs:
        """What every expert is given."""
        return PanelInputs(self.topic, quoted(self.sources), quoted_lines(self.profile), self.pillars)

    @property
    def linked(self) -> dict[str, str]:
        """The links that were read, each with the name of its document."""
        return {link.url: link.source for link in self.links if link.source}

    @property
    def title(self) -> str:
        """What was asked of whom, as one line."""
        return f"{self.panel.title if self.panel else 'Research'}: {self.topic}"
