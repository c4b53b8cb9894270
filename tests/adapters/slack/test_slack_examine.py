"""What the doctor says of Slack: each fault by its name with what to do next, none for another, and never a token."""

import pytest

from adapters.slack.config import SlackConfig
from adapters.slack.examine import examine
from adapters.slack.manifest import SCOPES
from tests.adapters.slack.fake_faults import Answer, Broken, Cut, Fault, Limited, Page
from tests.adapters.slack.fake_slack import FakeSlack
from tests.adapters.slack.fake_world import Workspace
from tests.adapters.slack.served import config_of

BOT, APP = "xoxb-CANARY-bot", "xapp-CANARY-app"
FINE = ["the bot is in Home", "all scopes are granted", "the socket can be opened"]


@pytest.fixture
async def slack():
    async with FakeSlack() as fake:
        fake.add(Workspace(token=BOT, scopes=tuple(SCOPES)))
        fake.app_token = APP
        yield fake


def config(slack: FakeSlack, **more: object) -> SlackConfig:
    return config_of(slack, "socket", **{"bot_token": BOT} | more)


async def found(config: SlackConfig) -> tuple[list[str], list[str]]:
    """What is fine, and what is not."""
    findings = [finding async for finding in examine(config)]
    assert not [sentence for _, sentence in findings if "CANARY" in sentence]
    return [sentence for fine, sentence in findings if fine], [sentence for fine, sentence in findings if not fine]


async def test_slack_the_doctor_finds_nothing_wrong_with_what_is_set_up_right(slack):
    assert await found(config(slack)) == (FINE, [])
    assert {call.method for call in slack.calls} == {"auth.test", "apps.connections.open"}, "nothing is posted for it"


async def test_slack_the_doctor_asks_for_no_socket_where_slack_delivers_over_http(slack):
    over_http = config(slack, app_token="", signing_secret="CANARY")
    assert await found(over_http) == (FINE[:2], [])


async def test_slack_the_doctor_says_where_workspaces_install_the_bot_and_looks_for_no_token_of_theirs(slack):
    many = config(slack, bot_token="", app_token="", signing_secret="CANARY", client_id="1.2", client_secret="CANARY")
    [sentence], faults = await found(many)
    assert "/slack/install" in sentence
    assert (faults, slack.calls) == ([], [])


@pytest.mark.parametrize("case", ["invented", "revoked", "the app's token in its place"])
async def test_slack_the_doctor_names_a_bot_token_that_is_refused_and_where_to_get_one(slack, case):
    token = {"invented": "xoxb-CANARY-other", "revoked": BOT, "the app's token in its place": APP}[case]
    if case == "revoked":
        slack.revoke("T0HOME")
    fine, [fault] = await found(config(slack, bot_token=token))
    assert fine == FINE[2:], "what else there is is looked at all the same"
    assert "SLACK_BOT_TOKEN" in fault
    assert "copy the token anew" in fault
    assert "xoxb-" in fault


@pytest.mark.parametrize("token", ["xapp-CANARY-other", BOT])
async def test_slack_the_doctor_names_an_app_token_that_is_refused_and_where_to_get_one(slack, token):
    fine, [fault] = await found(config(slack, app_token=token))
    assert fine == FINE[:2]
    assert "SLACK_APP_TOKEN" in fault
    assert "copy it anew" in fault
    assert "xapp-" in fault
    assert "connections:write" in fault


async def test_slack_the_doctor_names_each_missing_scope_with_what_it_is_for_and_how_to_add_it(slack):
    missing = ["files:read", "users:read"]
    slack.add(Workspace(token=BOT, scopes=tuple(scope for scope in SCOPES if scope not in missing)))
    fine, faults = await found(config(slack))
    assert fine == [FINE[0], FINE[2]]
    assert len(faults) == 2
    for scope, fault in zip(missing, faults, strict=True):
        assert scope in fault
        assert SCOPES[scope] in fault
        assert "install it again" in fault


@pytest.mark.parametrize(
    ("fault", "said", "next_step"),
    [
        (Limited(7), "asks to wait", "try again in 7 s"),
        (Broken(503), "does not answer as it should", "try again in a few minutes"),
        (Page(), "does not answer as it should", "try again in a few minutes"),
        (Answer("internal_error"), "does not answer as it should", "try again in a few minutes"),
        (Cut(), "cannot be reached", "check the network"),
    ],
    ids=["limited", "broken", "a page", "an error of its own", "cut off"],
)
async def test_slack_the_doctor_blames_no_token_for_what_is_slacks_or_the_networks_doing(
    slack, fault: Fault, said, next_step
):
    for method in ("auth.test", "apps.connections.open"):
        slack.script(method, fault)
    fine, faults = await found(config(slack))
    assert fine == []
    assert len(faults) == 2
    for sentence in faults:
        assert "TOKEN" not in sentence
        assert said in sentence
        assert next_step in sentence


async def test_slack_the_doctor_says_that_slack_cannot_be_reached_and_which_setting_that_may_be(slack):
    fine, faults = await found(config(slack, api="http://127.0.0.1:9/api/"))
    assert fine == []
    assert len(faults) == 2
    for sentence in faults:
        assert "cannot be reached" in sentence
        assert "SLACK_API_URL" in sentence
        assert "TOKEN" not in sentence
