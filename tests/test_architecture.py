"""The house: two import arrows, platforms behind their adapters, light words, light start."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("bot", "teams", "adapters")
ARROWS = {"bot": {"bot", "teams", "adapters"}, "teams": {"teams"}, "adapters": {"adapters"}}
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def top(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_two_arrows(path):
    package = path.relative_to(ROOT).parts[0]
    ours = {top(module) for module in imports(path)} & set(PACKAGES)
    assert ours <= ARROWS[package]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_platforms_package_is_imported_by_its_adapter_alone(path):
    where = path.relative_to(ROOT).as_posix()
    used = {top(module) for module in imports(path)}
    for package, home in (("slack_sdk", "slack"), ("slack_bolt", "slack"), ("discord", "discord")):
        assert package not in used or where.startswith(f"adapters/{home}/")
    if not where.startswith("teams/"):
        assert "dspy" not in used


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


HEAVY = {"dspy", "slack_bolt", "slack_sdk", "discord", "pydantic", "aiohttp", "rich", "litellm"}
HEAVY |= {"dbos", "sqlalchemy", "alembic", "uvloop"}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(option):
    code = f"""
from bot.cli import main
import io, contextlib
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main([{option!r}])
"""
    assert not loaded_by(code) & HEAVY


@pytest.mark.parametrize("module", ["teams.model", "teams.events", "teams.failures", "teams.steps"])
def test_the_words_of_the_teams_load_no_dspy(module):
    assert "dspy" not in loaded_by(f"import {module}")


@pytest.mark.parametrize("module", ["bot.verbs", "bot.intake", "bot.render", "adapters.port", "adapters.memory"])
def test_the_bot_starts_without_dspy(module):
    assert not loaded_by(f"import {module}") & {"dspy", "litellm", "discord", "slack_bolt"}


def test_what_is_loaded_before_slack_is_served_holds_neither_dspy_nor_what_reads_pages_files_and_tools():
    loaded = loaded_by("import bot.verbs, bot.serve, bot.http, teams.sources.web, adapters.slack.connect")
    assert not loaded & {"dspy", "litellm", "trafilatura", "lxml", "bs4", "pypdf", "pptx", "mcp", "ddgs", "discord"}


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_does_nothing(package, tmp_path):
    """No module reads the environment's settings, writes a file or prints when it is imported."""
    names = [path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in MODULES]
    ours = [name.removesuffix(".__init__") for name in names if name.startswith(package)]
    code = ";".join(f"import {name}" for name in ours if name != "bot.__main__")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=_bare(tmp_path)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def _bare(home: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT), "HOME": str(home), "FLASH_TIMEOUT": "not a number", "PYTHONDONTWRITEBYTECODE": "1"}
