"""Slack: the front end that answers in Slack's threads."""
