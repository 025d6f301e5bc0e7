"""Exports opened in LibreOffice: no cell of hostile rows is reckoned, and every text comes back."""

import csv
import io
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from leadcapture.leads import csv_safe
from tests.both import Place
from tests.parts import find_part
from tests.proofs.finding import Finding

# Separator, quote, UTF-8, from line 1, columns, language of the machine; quoted cells may be
# numbers, dates are looked for, formulas are evaluated: the most that an import can be told to do.
_IMPORT = "44,34,76,1,,0,false,true,false,false,false,0,true"
_EXPORT = "44,34,76,1,,0,true,false,true"
_BEGINS = ("=", "+", "-", "@", "\t=", "\n=", "＝", "＋", "－", "＠", "'", "'=", '"=', "")
_PAYLOADS = (
    "1+1",
    "SUM(A1:A9)",
    "cmd|' /C calc'!A0",
    'HYPERLINK("http://127.0.0.1/?"&A1;"press")',
    'WEBSERVICE("http://127.0.0.1/")',
    'IMPORTXML("http://127.0.0.1/","//a")',
    "2026-03-03 is no date",
    "50688881234 is no amount",
    "línea uno\nlínea dos; y, “comillas” \" '",
    "-1",
)
_NUMBERS = ("+50688881234", "+18135550142", "+48512345678", "+34612345678", "+4915123456789")
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"


def exported(_place: Place, quick: bool, seed: int) -> Finding:
    """WS-06: rows of formulas and telephones go through LibreOffice and come back unchanged."""
    rows = list(_hostile_rows(random.Random(seed), 100 if quick else 500))
    unsafe = io.StringIO(newline="")
    csv.writer(unsafe, quoting=csv.QUOTE_ALL).writerows(rows)
    control, *_ = _through_libreoffice(unsafe.getvalue())
    formulas, numbers, read = _through_libreoffice(csv_safe.write_rows(rows))
    # LibreOffice keeps no TAB within a cell, whoever wrote the file.
    rows = [[cell.replace("\t", "") for cell in row] for row in rows]
    faults = [] if control else ["LibreOffice reckons nothing here, so this shows nothing"]
    faults += [f"LibreOffice reckoned {formulas} formulas"] if formulas else []
    faults += [f"LibreOffice took {numbers} cells for numbers or dates"] if numbers else []
    faults += [
        f"row {number}: {before!r} came back as {after!r}"
        for number, (before, after) in enumerate(zip(rows, read, strict=False))
        if before != after
    ]
    faults += [f"{len(read)} rows of {len(rows)} came back"] if len(read) != len(rows) else []
    sentence = (
        f"{len(rows)} rows through LibreOffice: {formulas} formulas and {numbers} numbers; "
        f"written plainly, {control} formulas"
    )
    return Finding(sentence, faults)


def _hostile_rows(dice: random.Random, count: int) -> Iterator[list[str]]:
    for number in range(count):
        hostile = dice.choice(_BEGINS[:-1]) + dice.choice(_PAYLOADS)
        telephone = csv_safe.telephone(dice.choice(_NUMBERS))
        yield [f"row {number}", hostile, telephone, dice.choice(_BEGINS) + dice.choice(_PAYLOADS)]


def _through_libreoffice(lines: str) -> tuple[int, int, list[list[str]]]:
    """How many cells became formulas, how many numbers, and the rows as it writes them again."""
    with tempfile.TemporaryDirectory() as folder:
        return _open_and_save(Path(folder), lines)


def _open_and_save(folder: Path, lines: str) -> tuple[int, int, list[list[str]]]:
    source = folder / "leads.csv"
    source.write_text(csv_safe.BOM + lines, encoding="utf-8", newline="")
    _convert(folder, "fods", source, f"--infilter=CSV:{_IMPORT}")
    cells = list(ElementTree.parse(folder / "leads.fods").iter(f"{_TABLE}table-cell"))
    formulas = sum(f"{_TABLE}formula" in cell.attrib for cell in cells)
    kinds = [cell.get(f"{_OFFICE}value-type") for cell in cells]
    (folder / "again").mkdir()
    target = f"csv:Text - txt - csv (StarCalc):{_EXPORT}"
    _convert(folder / "again", target, folder / "leads.fods")
    text = (folder / "again" / "leads.csv").read_bytes().decode()
    numbers = sum(kind not in (None, "string") for kind in kinds)
    return formulas, numbers, list(csv_safe.read_rows(text))


def _convert(folder: Path, target: str, source: Path, *switches: str) -> None:
    soffice = find_part("libreoffice-calc-nogui", "soffice", "libreoffice")
    # A profile of its own, so that nothing of this machine's user is read or written.
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    command = [soffice, profile, "--headless", *switches, "--convert-to", target]
    subprocess.run(
        [*command, "--outdir", str(folder), str(source)],
        check=True,
        timeout=180,
        stdout=subprocess.DEVNULL,
    )
