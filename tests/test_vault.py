"""Sealing (PR-07)."""

import pytest

from leadcapture.vault import SealBroken, Vault

KEY = bytes(range(32))


@pytest.fixture
def vault() -> Vault:
    return Vault({"k001": KEY}, "k001", KEY)


def test_what_is_sealed_opens_in_its_place(vault: Vault) -> None:
    sealed = vault.seal("request", "answers", "row-1", "lupus, since 2019 ✓")
    assert vault.open("request", "answers", "row-1", sealed) == "lupus, since 2019 ✓"
    assert b"lupus" not in sealed


def test_the_same_text_never_looks_the_same(vault: Vault) -> None:
    assert vault.seal("t", "c", "r", "x") != vault.seal("t", "c", "r", "x")


@pytest.mark.parametrize(
    "place",
    [
        ("message", "answers", "row-1"),
        ("request", "note", "row-1"),
        ("request", "answers", "row-2"),
        ("request\x1fanswers", "", "row-1"),
    ],
)
def test_a_sealed_value_opens_nowhere_else(vault: Vault, place: tuple[str, str, str]) -> None:
    """PR-07: swapped ciphertexts are refused."""
    sealed = vault.seal("request", "answers", "row-1", "text")
    with pytest.raises(SealBroken):
        vault.open(*place, sealed)


def test_every_altered_or_cut_byte_is_noticed(vault: Vault) -> None:
    """PR-07."""
    sealed = vault.seal("t", "c", "r", "text")
    for position in range(len(sealed)):
        altered = bytearray(sealed)
        altered[position] ^= 1
        with pytest.raises(SealBroken):
            vault.open("t", "c", "r", bytes(altered))
        with pytest.raises(SealBroken):
            vault.open("t", "c", "r", sealed[:position])


def test_an_older_key_still_opens_and_the_current_one_seals() -> None:
    """PR-08: rotation needs two live keys."""
    old = Vault({"k001": KEY}, "k001", KEY).seal("t", "c", "r", "text")
    both = Vault({"k002": bytes(32), "k001": KEY}, "k002", KEY)
    assert both.open("t", "c", "r", old) == "text"
    assert both.seal("t", "c", "r", "text").startswith(b"k002")


def test_a_keyed_hash_depends_on_key_and_purpose(vault: Vault) -> None:
    other = Vault({"k001": KEY}, "k001", bytes(32))
    hashes = {
        vault.keyed_hash("address", "a@example.com"),
        vault.keyed_hash("receipt", "a@example.com"),
        other.keyed_hash("address", "a@example.com"),
    }
    assert len(hashes) == 3


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault({"k001": b"short"}, "k001", KEY)
