"""A taxonomy is data: checked when it is loaded, with file and line; look-alikes are named."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.taxonomy import DEFAULT, load_taxonomy, near_duplicates
from worker.cli.main import app
from worker.errors import SettingsError
from worker.triage import prompts

GOOD = """version = "desk-1"

[[categories]]
value = "billing"
description = "Invoices and payments."
team = "finance"

[[categories]]
value = "delivery"
description = "Where is my parcel?"
examples = ["Wo ist mein Paket?", "Où est mon colis ?"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "taxonomy.toml"


def test_a_taxonomy_is_read_with_all_it_says(file: Path) -> None:
    file.write_text(GOOD)

    taxonomy = load_taxonomy(file)

    assert (taxonomy.version, taxonomy.values) == ("desk-1", ("billing", "delivery"))
    assert taxonomy.categories[0].team == "finance"
    assert len(taxonomy.categories[1].examples) == 2


def test_the_model_reads_description_and_examples(file: Path) -> None:
    file.write_text(GOOD)

    instruction = prompts.instruction("triage-1", load_taxonomy(file), "en")

    assert instruction.splitlines()[-2:] == [
        "- billing: Invoices and payments.",
        '- delivery: Where is my parcel? Such as "Wo ist mein Paket?"; "Où est mon colis ?".',
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('value = "delivery"', 'value = "billing"', ":9: categories.1: the value billing is there"),
        ('value = "delivery"', 'value = "Delivery!"', ":9: categories.1.value: String should"),
        ('value = "delivery"', 'valu = "delivery"', ":8: categories.1.value: Field required"),
        ("team =", "tema =", ":6: categories.0.tema: Extra inputs"),
        ('version = "desk-1"', "", ":1: version: Field required"),
        ('description = "Where is my parcel?"', 'description = ""', ":10: categories.1.descr"),
        ('value = "delivery"', "value = delivery", ": Invalid value (at line 9"),
        (
            GOOD[GOOD.index('[[categories]]\nvalue = "delivery') :],
            "",
            ":1: categories: Tuple should",
        ),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(
    file: Path, old: str, new: str, message: str
) -> None:
    file.write_text(GOOD.replace(old, new))

    with pytest.raises(ValueError, match=r"taxonomy\.toml") as error:
        load_taxonomy(file)

    assert f"{file}{message}" in str(error.value)
    assert "\n" not in str(error.value)


def test_categories_that_look_alike_are_named(file: Path) -> None:
    file.write_text(GOOD.replace('"delivery"', '"billings"'))

    assert list(near_duplicates(load_taxonomy(file))) == [
        ("billing", "billings", "the values look alike")
    ]


def test_categories_that_mean_the_same_are_named(file: Path) -> None:
    file.write_text(GOOD.replace("Where is my parcel?", "Invoices and the payments."))

    [(_, _, why)] = near_duplicates(load_taxonomy(file))

    assert why == "the descriptions say nearly the same"


def test_the_shipped_taxonomy_has_no_look_alikes() -> None:
    assert list(near_duplicates(load_taxonomy(DEFAULT))) == []


def test_the_command_says_ok_or_what_is_wrong(file: Path) -> None:
    file.write_text(GOOD.replace('"delivery"', '"billings"'))
    fine = CliRunner().invoke(app, ["taxonomy", "check", str(file)])
    file.write_text(GOOD.replace('"delivery"', '"billing"'))
    broken = CliRunner().invoke(app, ["taxonomy", "check", str(file)])

    assert fine.exit_code == 0
    assert "ok desk-1: 2 categories" in fine.output
    assert "warning billing and billings" in fine.output
    assert isinstance(broken.exception, SettingsError)
