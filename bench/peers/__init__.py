"""Other ways to ask a panel, each a script for an environment of its own. They import nothing of the project."""
