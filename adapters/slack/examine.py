"""What the doctor says of Slack: whether the tokens are taken, and whether the app was granted what it needs."""

from collections.abc import AsyncIterator

from adapters.port import FrontEndFailed
from adapters.slack.config import SlackConfig
from adapters.slack.errors import CALL_ERRORS, code_of, trouble_of
from adapters.slack.manifest import missing_scopes
from adapters.slack.workspaces import identity_of, new_client, new_session


async def examine(config: SlackConfig) -> AsyncIterator[tuple[bool, str]]:
    """Findings, each whether it is fine and one sentence with what to do."""
    async with new_session() as session:
        if config.bot_token:
            try:
                identity = await identity_of(new_client(session, config.api, config.bot_token))
            except FrontEndFailed as error:
                yield False, str(error)
            else:
                yield True, f"the bot is in {identity.name or identity.tenant}"
                lacking = missing_scopes(identity.scopes)
                for scope, why in lacking.items():
                    yield False, f"the scope {scope} is missing ({why}); add it to the app and install it again"
                if not lacking:
                    yield True, "all scopes are granted"
        if config.app_token:
            try:
                await new_client(session, config.api).apps_connections_open(app_token=config.app_token)
                yield True, "the socket can be opened"
            except CALL_ERRORS as error:
                refused = (
                    f"Slack refuses SLACK_APP_TOKEN ({code_of(error)}); copy it anew from the app's page, it begins "
                    "with xapp- and needs the scope connections:write"
                )
                yield False, trouble_of(error) or refused
        if config.many:
            yield True, "any workspace can install the bot, at /slack/install of its web server"
