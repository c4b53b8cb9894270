"""What Slack refuses in blocks, a rule for each kind of block and element. Pure: blocks go in, what is wrong comes out.

Limits are those of Slack's Block Kit reference and of slack_sdk's own validators. Where the two are silent or people
report something stricter than the reference, the stricter reading holds here, and the line says so.
"""

from typing import Any

from tests.adapters.slack.fake_schema import (
    Json,
    Problems,
    Rule,
    anything,
    array,
    boolean,
    kinds,
    number,
    one_of,
    plain,
    problem,
    shape,
    string,
    text,
    walk,
)

MOST_BLOCKS, MOST_VIEW_BLOCKS = 50, 100
MOST_MARKDOWN = 12_000
"""Of one markdown block and of all of a payload's together (markdown block's reference); also of `markdown_text`."""
TASK_STATES = ("pending", "in_progress", "complete", "error")

# Elements

ACTION = {"type": anything, "action_id": string(255)}
CONFIRM = shape(
    {"title": plain(100), "text": text(300), "confirm": plain(30), "deny": plain(30)},
    {"style": one_of("primary", "danger")},
)
OPTION = shape({"text": plain(75), "value": string(150)}, {"description": plain(75), "url": string(3000)})
CHOICE = shape({"text": text(75), "value": string(150)}, {"description": text(75)})
FEEDBACK = shape({"text": plain(75), "value": string(2000)}, {"accessibility_label": string(75)})
USERS = array(string(255), 10)
INPUT = {"placeholder": plain(150), "focus_on_load": boolean}


def chosen_is_offered(*keys: str) -> Rule:
    def rule(value: Json, at: str) -> Problems:
        offered = [*value.get("options", ())]
        offered += [option for group in value.get("option_groups", []) for option in group["options"]]
        for key in keys:
            chosen = value.get(key, [])
            for each in chosen if isinstance(chosen, list) else [chosen]:
                if each not in offered:
                    yield problem("must match one of the options", f"{at}/{key}")

    return rule


def options_or_groups(value: Json, at: str) -> Problems:
    if ("options" in value) == ("option_groups" in value):
        yield problem("must have either options or option_groups", at)


def initial_value_fits(value: Json, at: str) -> Problems:
    length = len(value.get("initial_value", ""))
    if length > value.get("max_length", 3000):
        yield problem("must not be longer than max_length", f"{at}/initial_value")
    if value.get("min_length", 0) > value.get("max_length", 3000):
        yield problem("must not be more than max_length", f"{at}/min_length")


def one_picture(value: Json, at: str) -> Problems:
    if ("image_url" in value) == ("slack_file" in value):
        yield problem("must have either image_url or slack_file", at)


ELEMENTS: dict[str, Rule] = {
    "button": shape(
        {"type": anything, "text": plain(75)},
        {
            "action_id": string(255),
            "url": string(3000),
            "value": string(2000),
            "style": one_of("primary", "danger"),
            "confirm": CONFIRM,
            "accessibility_label": string(75),
            "agent_prompt": string(4000),
            "agent_prompt_display": string(75),
            "visible_to_user_ids": USERS,
        },
    ),
    "static_select": shape(
        {"type": anything},
        {
            "action_id": string(255),
            "options": array(OPTION, 100),
            "option_groups": array(shape({"label": plain(75), "options": array(OPTION, 100)}, {}), 100),
            "initial_option": OPTION,
            "confirm": CONFIRM,
            **INPUT,
        },
        options_or_groups,
        chosen_is_offered("initial_option"),
    ),
    "plain_text_input": shape(
        {"type": anything},
        {
            "action_id": string(255),
            "initial_value": string(3000, 0),
            "multiline": boolean,
            "min_length": number(0, 3000),
            "max_length": number(1, 3000),
            "dispatch_action_config": anything,
            **INPUT,
        },
        initial_value_fits,
    ),
    "checkboxes": shape(
        {"type": anything, "options": array(CHOICE, 10)},
        {
            "action_id": string(255),
            "initial_options": array(CHOICE, 10),
            "confirm": CONFIRM,
            "focus_on_load": boolean,
        },
        chosen_is_offered("initial_options"),
    ),
    "radio_buttons": shape(
        {"type": anything, "options": array(CHOICE, 10)},
        {"action_id": string(255), "initial_option": CHOICE, "confirm": CONFIRM, "focus_on_load": boolean},
        chosen_is_offered("initial_option"),
    ),
    "overflow": shape({"type": anything, "options": array(OPTION, 5)}, {"action_id": string(255), "confirm": CONFIRM}),
    "file_input": shape(
        {"type": anything},
        {
            "action_id": string(255),
            "filetypes": array(string(20), 100),
            "max_files": number(1, 10),
        },
    ),
    "feedback_buttons": shape(
        {"type": anything, "positive_button": FEEDBACK, "negative_button": FEEDBACK}, {"action_id": string(255)}
    ),
    "icon_button": shape(
        {"type": anything, "icon": one_of("trash"), "text": plain(75)},
        {
            "action_id": string(255),
            "accessibility_label": string(75),
            "value": string(2000),
            "visible_to_user_ids": USERS,
            "confirm": CONFIRM,
        },
    ),
    "image": shape(
        {"type": anything, "alt_text": string(2000)},
        {"image_url": string(3000), "slack_file": anything},
        one_picture,
    ),
}
URL_SOURCE = shape({"type": one_of("url"), "url": string(3000), "text": string(3000)}, {})

# Rich text: an element's own text may be any length, the message's is what counts.

STYLE = {"style": anything}
RICH_PARTS: dict[str, Rule] = {
    "text": shape({"type": anything, "text": string(40_000)}, STYLE),
    "link": shape({"type": anything, "url": string(3000)}, {"text": string(3000), "unsafe": boolean, **STYLE}),
    "user": shape({"type": anything, "user_id": string(255)}, STYLE),
    "usergroup": shape({"type": anything, "usergroup_id": string(255)}, STYLE),
    "channel": shape({"type": anything, "channel_id": string(255)}, STYLE),
    "broadcast": shape({"type": anything, "range": one_of("here", "channel", "everyone")}, STYLE),
    "emoji": shape({"type": anything, "name": string(255)}, {"unicode": string(255), "skin_tone": anything, **STYLE}),
}
RICH_SECTION = shape({"type": anything, "elements": array(kinds(RICH_PARTS), 1000, 0)}, {})
RICH_BOXED = shape({"type": anything, "elements": array(kinds(RICH_PARTS), 1000, 0)}, {"border": number(0, 1)})
RICH: dict[str, Rule] = {
    "rich_text_section": RICH_SECTION,
    "rich_text_preformatted": shape(
        {"type": anything, "elements": array(kinds(RICH_PARTS, "text", "link"), 1000, 0)},
        {"border": number(0, 1), "language": string(255)},
    ),
    "rich_text_quote": RICH_BOXED,
    "rich_text_list": shape(
        {
            "type": anything,
            "style": one_of("bullet", "ordered"),
            "elements": array(kinds({"rich_text_section": RICH_SECTION}), 1000),
        },
        {"indent": number(0, 8), "offset": number(0, 10_000), "border": number(0, 1)},
    ),
}

# Blocks

BLOCK = {"block_id": string(255)}
RICH_TEXT = shape({"type": anything, "elements": array(kinds(RICH), 1000)}, BLOCK)
CELLS: dict[str, Rule] = {
    "raw_text": shape({"type": anything, "text": string(40_000)}, {}),
    "raw_number": shape({"type": anything, "value": number(-1e300, 1e300), "text": string(40_000)}, {}),
    "rich_text": RICH_TEXT,
}


def column(value: Any, at: str) -> Problems:
    if value is not None:  # A null leaves a column as it is.
        yield from shape({}, {"align": one_of("left", "center", "right"), "is_wrapped": boolean})(value, at)


def text_or_fields(value: Json, at: str) -> Problems:
    if "text" not in value and "fields" not in value:
        yield problem("must have text or fields", at)


def unlike_actions(value: Json, at: str) -> Problems:
    """An `action_id` is unique within its block."""
    parts = [*value.get("elements", ()), value.get("accessory"), value.get("element"), *value.get("actions", ())]
    named = [part["action_id"] for part in parts if isinstance(part, dict) and "action_id" in part]
    if len(named) != len(set(named)):
        yield problem("action_id must be unique within a block", at)


def card_holds_something(value: Json, at: str) -> Problems:
    if not {"hero_image", "title", "actions", "body"} & value.keys():
        yield problem("must have at least one of hero_image, title, actions, body", at)


def container_makes_sense(value: Json, at: str) -> Problems:
    if "title" not in value and "rich_text_title" not in value:
        yield problem("must have title or rich_text_title", at)
    if value.get("default_collapsed") and not value.get("is_collapsible"):
        yield problem("default_collapsed needs is_collapsible", at)
    if value.get("is_collapsible") and value.get("has_header_divider"):
        yield problem("has_header_divider cannot be with is_collapsible", at)


TASK_CARD = shape(
    {"type": anything, "task_id": string(255), "title": string(3000), "status": one_of(*TASK_STATES)},
    {"details": RICH_TEXT, "output": RICH_TEXT, "sources": array(URL_SOURCE, 100, 0), **BLOCK},
)
CARD = shape(
    {"type": anything},
    {
        "hero_image": ELEMENTS["image"],
        "icon": ELEMENTS["image"],
        "title": text(150),
        "subtitle": text(150),
        "body": text(200),
        "actions": array(kinds(ELEMENTS, "button"), 3),
        **BLOCK,
    },
    card_holds_something,
    unlike_actions,
)
BLOCKS: dict[str, Rule] = {
    "section": shape(
        {"type": anything},
        {
            "text": text(3000),
            "fields": array(text(2000), 10),
            "accessory": kinds(ELEMENTS, "button", "image", "static_select", "checkboxes", "radio_buttons", "overflow"),
            "expand": boolean,
            **BLOCK,
        },
        text_or_fields,
    ),
    "divider": shape({"type": anything}, BLOCK),
    "header": shape({"type": anything, "text": plain(150)}, BLOCK),
    "image": shape(
        {"type": anything, "alt_text": string(2000)},
        {"image_url": string(3000), "slack_file": anything, "title": plain(2000), **BLOCK},
        one_picture,
    ),
    "context": shape(
        {
            "type": anything,
            "elements": array(kinds({"image": ELEMENTS["image"], "plain_text": text(3000), "mrkdwn": text(3000)}), 10),
        },
        BLOCK,
    ),
    "actions": shape(
        {
            "type": anything,
            "elements": array(
                kinds(ELEMENTS, "button", "static_select", "checkboxes", "radio_buttons", "overflow"), 25
            ),
        },
        BLOCK,
        unlike_actions,
    ),
    "context_actions": shape(
        {"type": anything, "elements": array(kinds(ELEMENTS, "feedback_buttons", "icon_button"), 5)},
        BLOCK,
        unlike_actions,
    ),
    "input": shape(
        {
            "type": anything,
            "label": plain(2000),
            "element": kinds(
                ELEMENTS, "plain_text_input", "static_select", "checkboxes", "radio_buttons", "file_input"
            ),
        },
        {"hint": plain(2000), "optional": boolean, "dispatch_action": boolean, **BLOCK},
    ),
    "markdown": shape({"type": anything, "text": string(MOST_MARKDOWN)}, BLOCK),
    "rich_text": RICH_TEXT,
    "table": shape(
        {"type": anything, "rows": array(array(kinds(CELLS), 20), 100)},
        {"column_settings": array(column, 20, 0), **BLOCK},
    ),
    # 200 is what a validating library (slackblocks) gives; the reference names no limit.
    "alert": shape(
        {"type": anything, "text": text(200)},
        {"level": one_of("default", "info", "warning", "error", "success"), **BLOCK},
    ),
    "card": CARD,
    "carousel": shape({"type": anything, "elements": array(kinds({"card": CARD}), 10)}, BLOCK),
    "task_card": TASK_CARD,
    "plan": shape(
        {"type": anything, "title": string(3000)},
        {"tasks": array(kinds({"task_card": TASK_CARD}), MOST_BLOCKS, 0), **BLOCK},
    ),
}
CHILDREN = ("actions", "context", "divider", "header", "image", "section", "table")
"""What a container may hold. Its reference lists these and file, input, rich_text and video; no markdown, no other
container. A reader of Slack's live validator (slack-morphism) did not find file, input and rich_text in it."""
BLOCKS["container"] = shape(
    {"type": anything, "child_blocks": array(kinds(BLOCKS, *CHILDREN), 10)},
    {
        "title": plain(150),
        "rich_text_title": RICH_TEXT,
        "subtitle": text(150),
        "width": one_of("narrow", "standard", "wide", "full"),
        "icon": ELEMENTS["image"],
        "is_collapsible": boolean,
        "default_collapsed": boolean,
        "has_header_divider": boolean,
        **BLOCK,
    },
    container_makes_sense,
)
IN_VIEWS = ("actions", "context", "divider", "header", "image", "input", "rich_text", "section", "alert", "container")
IN_MESSAGES = tuple(BLOCKS)


def block_text(blocks: list[Json]) -> int:
    """Characters that people read, over all blocks."""
    read = 0
    for part in walk(blocks):
        read += sum(len(part[key]) for key in ("text", "title") if isinstance(part.get(key), str))
    return read


def unlike_blocks(blocks: list[Json], at: str) -> Problems:
    named = [part["block_id"] for part in walk(blocks) if "block_id" in part]
    if len(named) != len(set(named)):
        yield problem("block_id must be unique", at)


def block_problems(blocks: Any, at: str = "/blocks", most: int = MOST_BLOCKS, types: tuple[str, ...] = ()) -> list[str]:
    """All that Slack's validator would say about these blocks, nothing where they are right."""
    wrong = list(array(kinds(BLOCKS, *(types or IN_MESSAGES)), most)(blocks, at))
    if wrong:
        return wrong
    wrong += unlike_blocks(blocks, at)
    if sum(len(part["text"]) for part in walk(blocks) if part.get("type") == "markdown") > MOST_MARKDOWN:
        wrong.append(problem(f"markdown blocks hold more than {MOST_MARKDOWN} characters", at))
    if not types and any(part.get("type") == "file_input" for part in walk(blocks)):
        wrong.append(problem("file_input is for modals", at))
    return wrong
