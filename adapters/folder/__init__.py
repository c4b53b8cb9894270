"""A folder as a platform: invocations are files that appear in it, threads are files that grow.

`in/*.json`
    One invocation each: `{"text": "/panel …", "author": "ann"}`, and if wanted `"channel"`, `"key"` and
    `"attachments": [{"name": …, "text": …}]`. `in/*.txt` is the text alone, asked by `folder`.
    Write the file elsewhere on the same disk, or under a name that begins with a dot, and rename it: what is written in
    place may be read half. Two files with one stem are one gesture, unless they say a `key` of their own.
`taken/`, `rejected/`
    Where a file goes once it was taken in, or cannot be; `NAME.reason.txt` says why. Nothing here is read again.
`out/THREAD.jsonl`
    The posts, root first, one `{"post": key, "text": Markdown, "files": [names]}` a line. A line counts once it ends.
`out/THREAD.files/`, `out/THREAD.board.json`
    The files of the posts, and the newest board.
`told/AUTHOR.jsonl`
    What was said to one person alone.

One process serves a folder at a time. It needs a POSIX file system: atomic renames, appends and links that can be told.
"""

from adapters.folder.frontend import FolderFrontEnd

__all__ = ["FolderFrontEnd"]
