"""Where evidence comes from: the library, the web, and servers of tools. Knows neither models nor chats."""
