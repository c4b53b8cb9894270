"""Discord: runs in its channels, threads and direct messages."""
