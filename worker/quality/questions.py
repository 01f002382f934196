"""Multiple-choice questions, as one would run MMLU: the same engine, one letter as the answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from string import ascii_uppercase

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from worker.engine.contract import Engine, Prompt, Request

INSTRUCTION = "Answer the multiple-choice question. Write only the letter of the right choice."


class Question(BaseModel):
    """A line of a file of questions; other keys are ignored.

    `answer` is the right choice: its place from 0, its letter, or its text.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    question: str = Field(min_length=1)
    choices: tuple[str, ...] = Field(min_length=2, max_length=len(ascii_uppercase))
    answer: int | str

    @field_validator("answer")
    @classmethod
    def _answer_is_a_choice(cls, answer: int | str, info: ValidationInfo) -> str:
        choices = info.data.get("choices", ())
        letters = ascii_uppercase[: len(choices)]
        if isinstance(answer, int) and 0 <= answer < len(choices):
            return letters[answer]
        if isinstance(answer, str) and answer in choices:
            return letters[choices.index(answer)]
        if isinstance(answer, str) and len(answer) == 1 and answer.upper() in letters:
            return answer.upper()
        raise PydanticCustomError("no_choice", "is none of the choices")


def scores(
    questions: Sequence[Question],
    engine: Engine,
    *,
    in_flight: int,
    deadline_s: float,
    advance: Callable[[], None] = lambda: None,
) -> list[float]:
    """1 for each question answered rightly, else 0."""

    def ask(question: Question) -> float:
        written = engine.generate(request_of(question), deadline_s=deadline_s).text
        advance()
        return float(written == question.answer)

    with ThreadPoolExecutor(in_flight) as threads:
        return list(threads.map(ask, questions))


def request_of(question: Question) -> Request:
    letters = ascii_uppercase[: len(question.choices)]
    listed = "\n".join(
        f"{letter}. {choice}" for letter, choice in zip(letters, question.choices, strict=True)
    )
    return Request(
        prompt=Prompt(INSTRUCTION, f"{question.question}\n{listed}"),
        grammar="root ::= " + " | ".join(f'"{letter}"' for letter in letters),
        max_tokens=2,
        temperature=0.0,
        seed=0,
    )
