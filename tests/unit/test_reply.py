"""The reply: parsed strictly, with errors that name the field."""

import json

import pytest

from schemas.reply import LABELS, Reply, label_values, reply_schema
from schemas.taxonomy import Taxonomy, load_taxonomy
from tests.replies import GOOD, written


def test_labels_come_first_in_the_order_of_the_schema(taxonomy: Taxonomy) -> None:
    fields = tuple(reply_schema(taxonomy)["properties"])

    assert fields[: len(LABELS)] == LABELS
    assert tuple(label_values(taxonomy)) == LABELS


def test_a_reply_is_read_back_as_it_was_written(taxonomy: Taxonomy) -> None:
    assert Reply.parse(written(), taxonomy).model_dump(mode="json") == GOOD


@pytest.mark.parametrize(
    ("output", "field"),
    [
        (written(category="nonsense"), "category"),
        (written(priority="extreme"), "priority"),
        (written(summary="x" * 201), "summary"),
        (written(entities=[{"kind": "order", "value": "x" * 41}]), "entities.0.value"),
        (written(more=1), "more"),
        ("{", "output"),
        ("", "output"),
        ("null", "output"),
    ],
)
def test_anything_else_is_refused_by_the_fields_name(
    taxonomy: Taxonomy, output: str, field: str
) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        Reply.parse(output, taxonomy)


def test_every_bound_of_the_models_is_in_the_schema(taxonomy: Taxonomy) -> None:
    schema = json.dumps(reply_schema(taxonomy))

    for bound in ('"maxLength": 200', '"maxLength": 600', '"maxLength": 40', '"maxItems": 5'):
        assert bound in schema


def test_a_taxonomy_that_repeats_a_value_is_refused() -> None:
    fields = load_taxonomy().model_dump()
    fields["categories"] += fields["categories"][:1]

    with pytest.raises(ValueError, match="technical_support is there twice"):
        Taxonomy.model_validate(fields)
