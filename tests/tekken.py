"""The production tokenizer, Tekken, as mistral-common ships it, behind our own encoder."""

import json
import shutil
import tempfile
import warnings
from functools import cache
from pathlib import Path

import mistral_common
from mistral_common.integrations.chat_templates.chat_templates import (
    convert_tokenizer_to_chat_template,
)

from worker.engine.profiles import load_profile
from worker.engine.tokens import PromptEncoder

NEMO = Path(mistral_common.__file__).parent / "data" / "tekken_240718.json"


@cache
def tekken_encoder() -> PromptEncoder:
    """Our encoder over Nemo's vocabulary and the chat template that belongs to it."""
    with tempfile.TemporaryDirectory() as directory, warnings.catch_warnings(action="ignore"):
        write_tokenizer(Path(directory))
        return PromptEncoder(directory, shape=load_profile("nemo-awq-32k").prompt_shape)


def write_tokenizer(model: Path) -> None:
    """What Nemo's repository has beside its weights."""
    shutil.copy(NEMO, model / "tekken.json")
    (model / "chat_template.jinja").write_text(convert_tokenizer_to_chat_template(str(NEMO)))
    (model / "config.json").write_text(json.dumps({"model_type": "mistral"}))
    (model / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>"}))
