"""Messages as discord.py sends them."""

import io

import discord

from adapters.discord.controls import Button
from adapters.discord.layout import Message

_STYLES = {
    "grey": discord.ButtonStyle.secondary,
    "red": discord.ButtonStyle.danger,
    "blurple": discord.ButtonStyle.primary,
}


def view_of(message: Message, mark: int) -> discord.ui.LayoutView:
    """The message in components, `mark` the id of its first text.

    It is stopped already: discord.py would else keep the view of each message for ever, and whoever presses a button is
    understood by its id.
    """
    view = discord.ui.LayoutView(timeout=None)
    texts: list[discord.ui.TextDisplay[discord.ui.LayoutView]] = [
        discord.ui.TextDisplay(text, id=None if number else mark) for number, text in enumerate(message.texts)
    ]
    if message.accent is None:
        for text in texts:
            view.add_item(text)
    else:
        view.add_item(discord.ui.Container(*texts, accent_colour=message.accent))
    for file in message.files:
        view.add_item(discord.ui.File(f"attachment://{file.name}"))
    if message.buttons:
        view.add_item(discord.ui.ActionRow(*map(_button, message.buttons)))
    view.stop()
    return view


def files_of(message: Message) -> list[discord.File]:
    """The files that the message's components name. To be made anew for each send: it reads them to their end."""
    return [
        discord.File(io.BytesIO(file.text.encode(errors="backslashreplace") or b"\n"), file.name)
        for file in message.files
    ]


def mentions_of(message: Message) -> discord.AllowedMentions:
    """Whom the message alerts: the one person whom it is for, or nobody."""
    mentions = discord.AllowedMentions.none()
    if message.mention:
        mentions.users = [discord.Object(int(message.mention))]
    return mentions


def _button(button: Button) -> discord.ui.Button[discord.ui.LayoutView]:
    return discord.ui.Button(label=button.label, custom_id=button.custom_id, style=_STYLES[button.style])
