"""The manifest: everything that is listened to has its scope, and nothing is over Slack's limits."""

import json
import re

import pytest

from adapters.slack.manifest import EVENTS, PUBLIC_SCOPE, SCOPES, SHORTCUT, manifest, missing_scopes

URL = "https://panelist.example.com"
SCOPE_OF_EVENT = {
    "agent_session_stopped": "assistant:write",
    "app_home_opened": None,
    "app_mention": "app_mentions:read",
    "app_uninstalled": None,
    "message.im": "im:history",
    "tokens_revoked": None,
}
"""Of each event's page."""
BOTH = pytest.mark.parametrize("made", [manifest(socket=True), manifest(URL, socket=False)], ids=["socket", "http"])


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_slack_every_event_has_the_scope_that_it_needs():
    assert set(EVENTS) == set(SCOPE_OF_EVENT)
    assert {scope for scope in SCOPE_OF_EVENT.values() if scope} <= set(SCOPES)
    assert all(SCOPES.values())


@BOTH
def test_slack_a_manifest_is_plain_json(made):
    assert json.loads(json.dumps(made)) == made


@BOTH
def test_slack_a_manifest_keeps_the_limits_of_its_reference(made):
    about, features = made["display_information"], made["features"]
    assert 0 < len(about["name"]) <= 35
    assert 0 < len(about["description"]) <= 140
    assert 174 <= len(about["long_description"]) <= 4_000
    assert re.fullmatch(r"#[0-9a-f]{6}", about["background_color"])
    assert re.fullmatch(r"[a-z0-9._-]{1,80}", features["bot_user"]["display_name"])
    assert 0 < len(features["agent_view"]["agent_description"]) <= 300
    assert 0 < len(features["agent_view"]["suggested_prompts"]) <= 4
    for prompt in features["agent_view"]["suggested_prompts"]:
        assert set(prompt) == {"title", "message"}
        assert all(prompt.values())
    for command in features["slash_commands"]:
        assert re.fullmatch(r"/[a-z]{1,31}", command["command"])
        assert 0 < len(command["description"]) <= 2_000
        assert 0 < len(command["usage_hint"]) <= 1_000
    for shortcut in features["shortcuts"]:
        assert 0 < len(shortcut["name"]) <= 24
        assert 0 < len(shortcut["callback_id"]) <= 255
        assert 0 < len(shortcut["description"]) <= 150
    assert len(made["oauth_config"]["scopes"]["bot"]) <= 255


@BOTH
def test_slack_a_manifest_asks_for_what_the_adapter_answers(made):
    assert [command["command"] for command in made["features"]["slash_commands"]] == ["/panel", "/research"]
    assert [(each["type"], each["callback_id"]) for each in made["features"]["shortcuts"]] == [("message", SHORTCUT)]
    assert made["features"]["app_home"]["messages_tab_enabled"] is True
    assert made["features"]["app_home"]["messages_tab_read_only_enabled"] is False
    assert made["features"]["bot_user"]["always_online"] is True
    assert made["oauth_config"]["scopes"]["bot"] == sorted(SCOPES)
    assert made["settings"]["event_subscriptions"]["bot_events"] == list(EVENTS)
    assert made["settings"]["interactivity"]["is_enabled"] is True
    assert made["settings"]["org_deploy_enabled"] is True
    assert made["settings"]["token_rotation_enabled"] is False


def test_slack_over_a_socket_nothing_names_an_address():
    made = manifest(socket=True)
    assert made["settings"]["socket_mode_enabled"] is True
    assert not [text for text in texts(made) if "://" in text]


def test_slack_over_http_everything_comes_to_the_gate():
    made = manifest(f"{URL}/", socket=False)
    assert made["settings"]["socket_mode_enabled"] is False
    events = f"{URL}/slack/events"
    assert made["settings"]["event_subscriptions"]["request_url"] == events
    assert made["settings"]["interactivity"]["request_url"] == events
    assert {command["url"] for command in made["features"]["slash_commands"]} == {events}
    assert made["oauth_config"]["redirect_urls"] == [f"{URL}/slack/oauth_redirect"]


def test_slack_a_socket_may_go_with_installing_over_http():
    made = manifest(URL, socket=True)
    assert made["oauth_config"]["redirect_urls"] == [f"{URL}/slack/oauth_redirect"]
    assert "request_url" not in made["settings"]["event_subscriptions"]


def test_slack_without_a_socket_an_address_is_needed():
    with pytest.raises(ValueError, match="url"):
        manifest(socket=False)


def test_slack_posting_uninvited_is_asked_for_only_where_an_admin_wants_it():
    assert PUBLIC_SCOPE not in manifest(socket=True)["oauth_config"]["scopes"]["bot"]
    assert PUBLIC_SCOPE in manifest(socket=True, public=True)["oauth_config"]["scopes"]["bot"]


def test_slack_another_name_stays_within_what_a_bot_user_may_be_called():
    made = manifest(socket=True, name="Das Gremium 2 (Test)")
    assert made["display_information"]["name"] == "Das Gremium 2 (Test)"
    assert made["features"]["bot_user"]["display_name"] == "das-gremium-2-test"


def test_slack_missing_scopes_are_named_with_what_they_are_for():
    assert missing_scopes(SCOPES) == {}
    assert missing_scopes([scope for scope in SCOPES if scope != "files:read"] + ["other"]) == {
        "files:read": SCOPES["files:read"]
    }
    assert missing_scopes([]) == SCOPES
