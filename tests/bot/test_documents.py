"""Documents: read whole or refused with the reason, and quoted so that none can pass for ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.documents import LARGEST_FILE, LARGEST_TOTAL, UnreadableDocument, read_documents, read_text
from teams.model import Source
from teams.quoting import quoted


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"%PDF-1.7 ...", "is a PDF"),
        (b"PK\x03\x04rest", "is an Office or zip file"),
        (b"\xff\xfe\x00binary", "not UTF-8 text"),
        (b"text with \x00 in it", "is binary"),
        (b"  \n ", "is empty"),
        (b"x" * (LARGEST_FILE + 1), "is over 1,000,000 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path, content, says):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UnreadableDocument, match=says):
        read_text(path)


def test_a_web_page_is_read_for_its_text(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("<html><title>Tea</title><script>x</script><body><h2>Prices</h2>")
    assert read_documents([path]) == (Source("a.html", "# Tea\n\n## Prices"),)


def test_a_missing_file_and_a_folder_are_refused_with_the_reason(tmp_path):
    with pytest.raises(UnreadableDocument, match="no such file"):
        read_text(tmp_path / "none.md")
    with pytest.raises(UnreadableDocument, match="is a directory"):
        read_text(tmp_path)


def test_documents_that_are_too_much_together_are_refused(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("x" * (LARGEST_TOTAL // 2 + 1))
    with pytest.raises(UnreadableDocument, match="at most 400,000"):
        read_documents([path, path])


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "a.md"
    path.write_bytes("\ufeffHällo".encode())
    assert read_documents([path]) == (Source("a.md", "Hällo"),)


@given(st.text())
def test_every_line_of_a_document_is_marked_as_quoted(text):
    first, *rest = quoted([Source("a.md", text)]).split("\n")
    assert first == "Document 'a.md':"
    assert all(line.startswith("> ") for line in rest if line)


def test_two_documents_of_one_name_are_told_apart(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.md").write_text(folder)
    sources = read_documents([tmp_path / "a" / "notes.md", tmp_path / "b" / "notes.md"])
    assert [source.name for source in sources] == ["notes.md", "notes.md (2)"]
