"""Trains the demonstration model's tokenizer: byte-level BPE over generated tickets.

Byte-level, so that every script can be written; digits stand alone, so that order numbers can
be copied; control tokens are the Mistral family's.

    python -m models.demo.train_tokenizer DIRECTORY
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from models.demo.prompt import example_prompt
from models.demo.tickets import examples
from schemas.reply import canonical_json

VOCABULARY = 6144
TRAINING_TICKETS = 20_000
CONTROL = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<pad>")
WORDS = Regex(r"\p{N}| ?\p{L}+|\s+(?!\S)|\s| ?[^\s\p{L}\p{N}]+")


def main(directory: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(WORDS, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(CONTROL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts(), trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        additional_special_tokens=["[INST]", "[/INST]"],
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
    )
    wrapped.chat_template = Path(__file__).with_name("chat_template.jinja").read_text()
    wrapped.save_pretrained(directory)


def texts() -> Iterator[str]:
    for example in islice(examples("train", seed=1), TRAINING_TICKETS):
        prompt = example_prompt(example)
        yield from (prompt.instruction, prompt.ticket, canonical_json(example.label))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
