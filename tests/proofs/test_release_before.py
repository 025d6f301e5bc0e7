"""The release before is found in the history, and told where it is not there."""

import subprocess
from pathlib import Path

import pytest

from tests.proofs.release_before import HOUSE, MIGRATIONS, NoHistory, find_release


def test_the_release_before_is_found_in_the_history(tmp_path: Path) -> None:
    """DD-12; it is run by ``python -m tests.proofs --only release_before``."""
    release = find_release(tmp_path)
    newest = max((HOUSE / MIGRATIONS).glob("[0-9]*.py")).name
    assert not (release.tree / MIGRATIONS / newest).exists()
    assert release.revision < newest[:4]
    assert (release.tree / "leadcapture" / "intake" / "receive.py").exists()


@pytest.mark.parametrize("has_git", [False, True], ids=["no repository", "cut off"])
def test_without_a_history_it_says_so(tmp_path: Path, has_git: bool) -> None:
    """DD-12: a clone of the last commit alone shows nothing, and must not pass for a proof."""
    house, folder = tmp_path / "house", tmp_path / "before"
    newest = max((HOUSE / MIGRATIONS).glob("[0-9]*.py")).name
    (house / MIGRATIONS).mkdir(parents=True)
    (house / MIGRATIONS / newest).touch()
    if has_git:
        who = ["-c", "user.name=n", "-c", "user.email=n@clinic.example"]
        for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "All there is"]):
            subprocess.run(["git", *words], cwd=house, check=True)
    with pytest.raises(NoHistory, match="whole clone"):
        find_release(folder, house)
