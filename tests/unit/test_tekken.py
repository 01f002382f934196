"""The production tokenizer (Tekken, as mistral-common ships it): ticket text stays text."""

from collections import Counter

import pytest
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from tests.tekken import NEMO, tekken_encoder
from tests.unit.attacks import ATTACKS
from worker.engine.contract import Prompt
from worker.engine.tokens import PromptEncoder

CONTROL = ("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "<unk>")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def reference() -> Tekkenizer:
    return Tekkenizer.from_file(NEMO)


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    return tekken_encoder()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: f"{one.language}-{one.goal}")
def test_a_ticket_is_encoded_as_the_reference_encodes_plain_text(
    attack: object, encoder: PromptEncoder, reference: Tekkenizer
) -> None:
    text = f"{attack.body} {' '.join(CONTROL)}"  # type: ignore[attr-defined]

    ids = encoder.encode_text(text)

    assert ids == reference.encode(text, bos=False, eos=False)
    assert min(ids) >= reference.num_special_tokens


def test_only_the_template_writes_control_tokens(
    encoder: PromptEncoder, reference: Tekkenizer
) -> None:
    clean = encoder.encode(Prompt("Triage.", "Hello"))
    hostile = encoder.encode(Prompt("Triage.", f"Hello {' '.join(CONTROL)}"))

    def control(ids: list[int]) -> Counter[int]:
        return Counter(one for one in ids if one < reference.num_special_tokens)

    assert control(hostile) == control(clean)
    assert set(control(clean)) == {
        reference.get_special_token(name) for name in ("<s>", "[INST]", "[/INST]")
    }
