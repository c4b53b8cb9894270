"""The conversation on a terminal: a line to type in, with the live boards under it."""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from adapters.terminal.screen import Screen
from adapters.terminal.streams import Streams

STOP = "/panel stop"
_REFRESH_SECONDS = 0.5
_STYLE = Style.from_dict({"bottom-toolbar": "noreverse", "bottom-toolbar.text": "noreverse"})


class Prompt:
    """A line that is read again and again. What was being typed when Ctrl-C stopped a run is there afterwards."""

    def __init__(self, streams: Streams, screen: Screen) -> None:
        self._streams = streams
        self._screen = screen
        self._session: PromptSession[str] | None = None
        self._left = False
        self._draft = ""
        self._leaving = False  # Ctrl-C was pressed and nothing typed since

    async def run(self, submit: Callable[[str], Awaitable[None]]) -> None:
        """Submit every line until the person leaves or `leave` is called. Posts are shown above the line."""
        keyboard = self._streams.keyboard or create_input(self._streams.stdin)
        output = self._streams.screen or create_output(self._streams.stdout)
        self._session = self._made(keyboard, output)
        # What others print has to go above the line too; it does so in the default app session only.
        above = _Above(self._session, output)
        with patch_stdout(raw=True), self._screen.under_prompt(above), suppress(EOFError):
            while not self._left:
                draft, self._draft = self._draft, ""
                typed = await self._session.prompt_async(default=draft)
                # Bytes that are not UTF-8 arrive as surrogates.
                line = re.sub("[\ud800-\udfff]", "\ufffd", typed).strip()
                if line == "/quit":
                    return
                if line:
                    await submit(line)

    def leave(self) -> None:
        """End the line that is being read, and read no other."""
        self._left = True
        if self._session and self._session.app.is_running and not self._session.app.is_done:
            self._session.app.exit(exception=EOFError)

    def _made(self, keyboard: Input, output: Output) -> PromptSession[str]:
        session: PromptSession[str] = PromptSession(
            "panelist> ",
            key_bindings=self._keys(),
            bottom_toolbar=self._toolbar,
            refresh_interval=_REFRESH_SECONDS,
            style=_STYLE,
            input=keyboard,
            output=output,
        )
        session.default_buffer.on_text_changed += lambda _: self._stay()
        return session

    def _stay(self) -> None:
        self._leaving = False

    def _toolbar(self) -> ANSI:
        if self._screen.running:
            hint = "Ctrl-C stops the run"
        else:
            hint = "Ctrl-C again leaves" if self._leaving else "Ctrl-D leaves"
        return ANSI(self._screen.toolbar(hint))

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        def interrupt(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if self._screen.running:
                self._draft, buffer.text = buffer.text, STOP
                buffer.validate_and_handle()
            elif self._leaving:
                event.app.exit(exception=EOFError)
            else:
                buffer.text = ""
                self._leaving = True

        return keys


class _Above:
    """A stream that writes above the line being read: taken off the screen first, drawn again after."""

    def __init__(self, session: PromptSession[str], output: Output) -> None:
        self._session = session
        self._output = output
        self._pending: list[str] = []

    def write(self, text: str) -> None:
        self._pending.append(text)

    def flush(self) -> None:
        text = "".join(self._pending)
        self._pending.clear()
        if text and self._session.app.is_running:
            # The app keeps these in order, and waits for them before it ends.
            run_in_terminal(lambda: self._emit(text))
        elif text:
            self._emit(text)

    def _emit(self, text: str) -> None:
        self._output.write_raw(text.replace("\n", "\r\n"))
        self._output.flush()
