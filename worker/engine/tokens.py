"""Turns a prompt into token ids in which a ticket's text can never become a control token.

The model's own chat template is rendered once around two markers. What the template wrote is
encoded with control tokens; what a customer wrote is encoded with them switched off, so that
`[/INST]` or `</s>` in a ticket stays ordinary text.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from jinja2 import TemplateError
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from worker.engine.checkpoint import fetch_config, no_model
from worker.engine.contract import Prompt
from worker.errors import SettingsError

INSTRUCTION, TICKET = "\ue000instruction\ue000", "\ue000ticket\ue000"
"""Private-use characters: no template and no instruction contains them."""
DESKS = 64
"""Of so many instructions the token ids are kept: every ticket of a desk begins with the same."""


class PromptEncoder:
    """Encodes prompts for one model. Safe to share between threads."""

    def __init__(
        self, model: Path | str, *, revision: str | None = None, shape: str | None = None
    ) -> None:
        """Read the model's tokenizer and its chat template.

        `shape` is what the template must make of `{instruction}` and `{ticket}`.

        Raises:
            SettingsError: it makes something else of them (the template is another model's), or
                the model is not here and cannot be downloaded.
        """
        tokenizer = load_tokenizer(model, revision)
        rendered = render(tokenizer)
        if shape is not None:
            require_shape(rendered, shape, model)
        self._before, rest = rendered.split(INSTRUCTION)
        self._between, self._after = rest.split(TICKET)
        self._control = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._text = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._text.encode_special_tokens = True
        self._ids_of_instruction = lru_cache(maxsize=DESKS)(self.encode_text)
        self._texts: dict[int, str] = {}

    @property
    def vocabulary_size(self) -> int:
        return self._control.get_vocab_size()

    def id_of(self, control_token: str) -> int:
        """The id of a control token such as `</s>`.

        Raises:
            KeyError: the vocabulary has no such token.
        """
        return self._control.get_vocab()[control_token]

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of the whole prompt, the template's own control tokens included."""
        return [
            *self._ids(self._control, self._before),
            *self._ids_of_instruction(prompt.instruction),
            *self._ids(self._control, self._between),
            *self._ids(self._text, prompt.ticket + prompt.note),
            *self._ids(self._control, self._after),
        ]

    def encode_text(self, text: str) -> list[int]:
        """Token ids of plain text, in which nothing is a control token."""
        return self._ids(self._text, text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text that an engine wrote, without control tokens."""
        return self._text.decode(ids)

    def text_of(self, token_id: int) -> str:
        """One token's text; a part of a character is the replacement character."""
        if token_id not in self._texts:
            self._texts[token_id] = self._text.decode([token_id], skip_special_tokens=False)
        return self._texts[token_id]

    @staticmethod
    def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids) if text else []


def load_tokenizer(model: Path | str, revision: str | None) -> PreTrainedTokenizerFast:
    """
    Raises:
        SettingsError: the model is not here and cannot be downloaded.
    """
    if not Path(model).is_dir():
        fetch_config(str(model), revision)
    try:
        tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(
            model,
            revision=revision or "main",
            fix_mistral_regex=True,  # Mistral's published tokenizer.json splits words wrongly
        )
    except (OSError, ValueError) as error:
        raise no_model(str(model), error) from error
    return tokenizer


def render(tokenizer: PreTrainedTokenizerFast) -> str:
    """What the chat template makes of both texts; a refusal is told in its own words.

    One that has no system message leaves the instruction out, as Phi-3 Medium's does, or refuses
    it: the customer's message begins with it then.
    """
    in_two = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": TICKET}]
    in_one = [{"role": "user", "content": f"{INSTRUCTION}\n\n{TICKET}"}]
    with suppress(TemplateError, ValueError):
        if INSTRUCTION in (rendered := applied(tokenizer, in_two)):
            return rendered
    try:
        return applied(tokenizer, in_one)
    except (TemplateError, ValueError) as error:
        raise SettingsError(
            f"the chat template of {tokenizer.name_or_path} takes no instruction before the "
            f"ticket ({error}): it is not this model's own"
        ) from error


def applied(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]]) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def require_shape(rendered: str, shape: str, model: Path | str) -> None:
    """
    Raises:
        SettingsError: the template is not the model's own.
    """
    found = rendered.replace(INSTRUCTION, "{instruction}").replace(TICKET, "{ticket}")
    if found != shape:
        raise SettingsError(
            f"the chat template of {model} writes {found!r}, its own would write {shape!r}: take "
            "chat_template and tokenizer from the model's own repository"
        )
