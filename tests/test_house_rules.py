"""The rules of the house, each as a test."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parent.parent
PACKAGE = HOUSE / "leadcapture"
LONGEST_FILE = 400

# From the top of the house to its cellar: imports only ever point down. What stands in one
# line is on one floor, and may only import within its own room.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("command",),
    ("doctor", "restore"),
    ("up", "serve", "migrate", "scheduler", "demo", "backup", "queue_table"),
    ("pg_tools",),
    ("archive", "terminal"),
    ("app",),
    ("public", "dashboard", "api", "accounts", "mailbox", "health", "metrics"),
    ("errors", "languages", "limits"),
    ("web", "places"),
    ("intake", "privacy", "readiness"),
    ("leads",),
    ("outbox",),
    ("letters",),
    ("models",),
    ("integrity", "prepared", "remembered"),
    ("database",),
    ("settings", "vault", "counters"),
    ("secret_keys",),
    ("variables", "kept_file", "moments"),
)
# Between rooms of one floor, each with its reason.
ASIDE = {
    # Staff pages ask who is signed in, and what that role may see.
    ("dashboard", "accounts"),
    # A counter that fails is logged as every failure is.
    ("limits", "errors"),
}
KNOWS_FLASK = {
    "places",
    "app",
    "web",
    "languages",
    "errors",
    "health",
    "metrics",
    "limits",
    "mailbox",
    "public",
    "dashboard",
    "api",
    "accounts",
    "cli",
    "serve",
    "migrate",
}
KNOWS_FLASK_ONLY_AS = {
    ("database", "flask_sqlalchemy"),
    ("models", "flask_security"),
    ("demo", "flask_security"),
}
SENTENCE = re.compile(r"[A-ZÀ-Þ`*(\"'][^\n]*(\n[^\n]+)?[.!?]")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(HOUSE))


def room_of(module: str) -> str:
    """The room of a dotted name of ours: ``leadcapture.outbox.relay`` is in ``outbox``."""
    return module.split(".")[1] if "." in module else "__init__"


def room_of_file(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, at its top or within a function, by dotted name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: a relative import"
            module = node.module or ""
            if module == "leadcapture":
                yield from (f"leadcapture.{alias.name}" for alias in node.names)
            else:
                yield module


def our_imports() -> Iterator[tuple[Path, str]]:
    for path in modules():
        for module in imports_of(path):
            if module.startswith("leadcapture."):
                yield path, module


def files_with(*words: str) -> set[str]:
    """The files of the package in which one of these words stands."""
    return {name_of(path) for path in modules() if any(word in path.read_text() for word in words)}


def floor_of(room: str) -> int:
    for number, floor in enumerate(FLOORS):
        if room in floor:
            return number
    raise AssertionError(f"{room} has no floor: give it one in tests/test_house_rules.py")


def test_imports_only_point_down() -> None:
    told = []
    for path, module in our_imports():
        room, other = room_of_file(path), room_of(module)
        if other == room or room == "__init__" or (room, other) in ASIDE:
            continue
        if floor_of(room) >= floor_of(other):
            told.append(f"{name_of(path)} imports {module}")
    assert not told, "\n".join(told)


def test_only_the_page_rooms_know_flask() -> None:
    told = []
    for path in modules():
        room = room_of_file(path)
        tops = {module.split(".")[0] for module in imports_of(path)}
        told += [
            f"{name_of(path)} imports {top}"
            for top in tops
            if room not in KNOWS_FLASK
            and (room, top) not in KNOWS_FLASK_ONLY_AS
            and (top in ("flask", "werkzeug", "wtforms") or top.startswith("flask_"))
        ]
    assert not told, "\n".join(told)


def test_every_module_says_in_one_sentence_what_it_is() -> None:
    told = []
    for path in modules():
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]
        if not SENTENCE.fullmatch(first):
            told.append(f"{name_of(path)}: {first!r}")
    assert not told, "\n".join(told)


def test_every_file_reads_in_one_sitting() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in modules()}
    assert not {name: count for name, count in lines.items() if count > LONGEST_FILE}


def test_only_settings_read_the_environment() -> None:
    """The command line and ``up`` pass it on to child processes."""
    may = {"leadcapture/settings.py", "leadcapture/cli.py", "leadcapture/up.py"}
    assert files_with("os.environ", "getenv") <= may


def test_only_the_outbox_speaks_smtp() -> None:
    speak = {name_of(path) for path in modules() if "smtplib" in set(imports_of(path))}
    assert {name for name in speak if not name.startswith("leadcapture/outbox/")} == set()


def test_nobody_asks_the_machine_for_a_time_without_a_zone() -> None:
    assert not files_with("utcnow(", "datetime.now()", "utcfromtimestamp(", "date.today(")


def test_the_tests_replace_nothing_of_ours() -> None:
    """What they run is what runs: a moment or a bound that they need is an argument."""
    replaces = re.compile(r"\.setattr\((?!time, )|\bmock\b|\.setitem\(")
    here = Path(__file__)
    others = [path for path in here.parent.rglob("*.py") if path != here]
    assert not [path.name for path in others if replaces.search(path.read_text())]


def test_pages_take_their_colours_from_one_place() -> None:
    """A colour that stands elsewhere than among the tokens is right in light or in dark."""
    raw = re.compile(r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)|\b(rgb|hsl|oklch)a?\(")
    told = [
        f"{name_of(sheet)}:{number}: {found[0]}"
        for sheet in sorted((PACKAGE / "static").glob("*.css"))
        if sheet.name != "tokens.css"
        for number, line in enumerate(sheet.read_text().splitlines(), 1)
        for found in raw.finditer(line)
    ]
    assert not told, "\n".join(told)


def test_migrations_are_numbered_and_never_import_the_app() -> None:
    """DD-08: an old migration must mean the same when the app has changed."""
    migrations = sorted((HOUSE / "migrations" / "versions").glob("*.py"))
    assert migrations
    for path in migrations:
        assert re.fullmatch(r"\d{4}_[a-z]+(_[a-z0-9]+)+\.py", path.name)
        assert not [name for name in imports_of(path) if name.startswith("leadcapture")]


def test_nothing_of_a_single_machine_stands_in_the_tree() -> None:
    """Neither a path of somebody's machine nor the name of a private registry."""
    forbidden = re.compile(
        rb"/(home|root|Users|work|workspace)/|\bfile:///|(?<!no-emit-)(index-url|trusted-host)|\.\./shared"
    )
    told = [
        f"{path}: {match[0].decode()}"
        for path in tracked_files()
        if path.name != Path(__file__).name
        for match in forbidden.finditer(path.read_bytes())
    ]
    assert not told, "\n".join(told)


def test_nothing_but_the_known_stands_at_the_top() -> None:
    known = {
        *(
            ".ci",
            # The README's screenshots.
            ".github",
            ".github",
            ".gitignore",
            "LICENSE",
            "README.md",
            "docs",
            "leadcapture",
            "migrations",
        ),
        *("pyproject.toml", "requirements.lock", "templates", "tests", "wsgi.py"),
    }
    tops = {path.relative_to(HOUSE).parts[0] for path in tracked_files()}
    assert tops <= known, tops - known


def test_the_lock_names_every_part_with_its_hashes() -> None:
    """WS-17: what is installed is what was looked at."""
    lock = (HOUSE / "requirements.lock").read_text()
    pins = re.findall(r"^([a-z0-9][a-z0-9.-]*)(?:\[[^]]*])?==\S+ \\\n    --hash=", lock, re.M)
    named = re.findall(r"^([a-z0-9][a-z0-9.-]*)", lock, re.M)
    assert sorted(pins) == sorted(named)
    assert "://" not in lock


def tracked_files() -> list[Path]:
    """What Git keeps or would keep; without Git, all that is not hidden or built."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=HOUSE,
        capture_output=True,
    )
    assert listed.returncode == 0, "the house rules look at what Git keeps"
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [HOUSE / name for name in names if (HOUSE / name).is_file()]


def test_a_table_is_had_by_its_model() -> None:
    """By its name alone it is found only where another has imported the model before."""
    assert files_with('metadata.tables["', "metadata.tables['") == set()
