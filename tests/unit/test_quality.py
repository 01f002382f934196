"""Quality: the figures of known pairs, thresholds that keep their promise, gates that decide."""

import dataclasses
import json
import math
import random
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.labelled import LabelledTicket
from schemas.reply import LABELS
from schemas.taxonomy import Taxonomy
from schemas.thresholds import NEVER, Thresholds
from tests.replies import GERMAN_BODY, written
from worker.cli.lines import read_lines
from worker.cli.main import app
from worker.engine.scripted import ScriptedEngine
from worker.errors import TriageError
from worker.quality import metrics
from worker.quality import run as running
from worker.quality.calibrate import GAP, below, calibrate, fit, lowest_threshold
from worker.quality.gate import Verdict, compare, score, verdict_of
from worker.quality.page import page
from worker.quality.questions import Question, request_of, scores
from worker.quality.records import GateRecord
from worker.quality.run import Judged, Run, run
from worker.quality.summary import NOTHING, summary
from worker.triage.confidence import Disposition, disposition
from worker.triage.desk import Desk

PAIRS = [("a", "a"), ("a", "a"), ("a", "b"), ("b", "b"), ("c", "b")]


def test_accuracy_and_f1_of_known_pairs() -> None:
    assert metrics.accuracy(PAIRS) == pytest.approx(0.6)
    # a: precision 1, recall 2/3 → 0.8; b: 1/3 and 1 → 0.5; c: 0
    assert metrics.macro_f1(PAIRS) == pytest.approx((0.8 + 0.5 + 0) / 3)
    assert metrics.confusion(PAIRS) == {"a": {"a": 2, "b": 1}, "b": {"b": 1}, "c": {"b": 1}}


def test_nothing_has_no_figures() -> None:
    assert metrics.accuracy([]) is None
    assert metrics.macro_f1([]) is None
    assert metrics.expected_calibration_error([]) is None
    assert metrics.coverage([], 0.5).precision is None


def test_the_calibration_error_is_the_weighted_distance_of_confidence_and_accuracy() -> None:
    scored = [(0.95, True), (0.95, False), (0.25, False), (1.0, True)]

    # the last bucket: mean confidence 2.9/3, two of three right; the other: 0.25, none right
    expected = (3 * abs(2.9 / 3 - 2 / 3) + 0.25) / 4
    assert metrics.expected_calibration_error(scored) == pytest.approx(expected)


def test_a_threshold_passes_what_reaches_it() -> None:
    passed = metrics.coverage([(0.9, True), (0.5, False), (0.4, True), (0.1, False)], 0.5)

    assert (passed.coverage, passed.precision) == (0.5, 0.5)


def test_the_lowest_threshold_that_keeps_the_precision_is_found() -> None:
    sure = [(0.9, True)] * 50 + [(0.7, True)] * 40 + [(0.7, False)] * 10 + [(0.3, False)] * 50

    assert lowest_threshold(sure, 0.95) == 0.9
    assert lowest_threshold(sure, 0.90) == 0.7
    assert lowest_threshold(sure, 0.60) == 0.3
    assert lowest_threshold(sure[:10], 0.60) == NEVER, "ten tickets say nothing"


def test_suggest_stays_below_auto_also_when_both_fit_the_same() -> None:
    bounds = fit([(0.8, True)] * 100, auto_precision=0.9, suggest_precision=0.9)

    assert (bounds.auto, bounds.suggest) == (0.8, 0.8 - GAP)


def test_where_no_confidence_is_right_often_enough_nothing_passes_however_sure_the_model_is() -> (
    None
):
    over_confident = [(1.0, True)] * 80 + [(1.0, False)] * 20

    bounds = fit(over_confident, auto_precision=0.98, suggest_precision=0.7)
    verdict, _ = disposition(dict.fromkeys(LABELS, 1.0), Thresholds.same(**bounds.model_dump()))

    assert verdict is Disposition.SUGGEST


def judged(sure: float, right: bool) -> Judged:
    wanted = dict.fromkeys(LABELS, "x")
    return Judged(
        language="de",
        wanted_language="de",
        wanted=wanted,
        written=wanted if right else dict.fromkeys(LABELS, "y"),
        confidence=dict.fromkeys(LABELS, sure),
        disposition=Disposition.AUTO,
        is_valid=True,
        reply_is_in_language=True,
        checks=(),
        output_tokens=10,
    )


def test_calibrated_thresholds_keep_their_precision_on_tickets_they_have_not_seen() -> None:
    rng = random.Random(3)
    tickets = [judged(sure := rng.random(), rng.random() < sure) for _ in range(4000)]

    thresholds, report = calibrate(tickets, auto_precision=0.9, suggest_precision=0.7)

    for field in LABELS:
        assert thresholds.of(field).suggest < thresholds.of(field).auto
        assert report[field]["auto"]["precision"] == pytest.approx(0.9, abs=0.03)
        assert report[field]["suggest"]["precision"] == pytest.approx(0.7, abs=0.03)
        assert report[field]["expected_calibration_error"] < 0.05


def test_thresholds_are_judged_on_the_tickets_that_did_not_make_them() -> None:
    tickets = [judged(0.9, right=True)] * 41

    _, report = calibrate(tickets, auto_precision=0.9, suggest_precision=0.7)

    assert {one["tickets"] for one in report.values()} == {21}, "the first 20 made them"


def test_thresholds_that_do_not_keep_what_was_wanted_are_named() -> None:
    bounds = {"auto": 0.98, "suggest": 0.5}
    category = {"auto": {"precision": 0.9}, "suggest": {"precision": 0.9}}

    assert "category, auto: 0.900 of what passes is right, 0.98 was wanted" in "".join(
        below({"category": category}, bounds)
    )
    category["auto"]["precision"] = 0.99
    assert list(below({"category": category}, bounds)) == []


def test_a_build_that_is_as_good_passes() -> None:
    rng = random.Random(1)
    reference = [float(rng.random() < 0.9) for _ in range(3000)]
    candidate = [one if rng.random() < 0.99 else 1 - one for one in reference]

    same, near = compare(reference, reference), compare(candidate, reference, margin=0.02)

    assert (same.verdict, same.difference, same.low) == (Verdict.PASSED, 0.0, -0.001)
    assert near.verdict is Verdict.PASSED
    assert near.low < near.difference < near.high


def test_a_build_that_is_worse_fails_and_few_cases_decide_nothing() -> None:
    rng = random.Random(1)
    reference = [float(rng.random() < 0.9) for _ in range(3000)]
    worse = [one if rng.random() < 0.9 else 0.0 for one in reference]

    assert compare(worse, reference).verdict is Verdict.FAILED
    for few in (compare(worse[:12], reference[:12]), compare([1.0] * 12, [1.0] * 12)):
        assert few.verdict is Verdict.UNDECIDED
        assert (few.enough or 0) >= 300


def test_a_gate_of_another_build_says_nothing_of_this_one(tmp_path: Path) -> None:
    def record(build: str) -> GateRecord:
        return GateRecord(
            build=build, candidate="demo", reference="full", engine_version="vllm",
            cases_file="holdout.jsonl", cases="c" * 64, margin=0.01,
            comparison=compare([1.0, 1.0], [1.0, 1.0]), at=datetime.now(UTC),
        )  # fmt: skip

    begins_alike, ours = "a" * 63 + "b", "a" * 64
    record(begins_alike).write(tmp_path)

    assert GateRecord.read_all(tmp_path, ours) == []
    assert [one.build for one in GateRecord.read_all(tmp_path, begins_alike)] == [begins_alike]


def test_the_interval_is_that_of_a_mean() -> None:
    scores = [1.0, 0.0, 1.0, 1.0] * 100
    found = compare(scores, [1.0] * 400)

    half = 1.96 * math.sqrt(0.25 * 0.75 * 400 / 399) / 20
    assert found.high - found.difference == pytest.approx(half, rel=1e-3)
    assert found.difference - found.low == pytest.approx(half, rel=1e-3)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.01, 0.5, "passed"), (-0.03, -0.005, "undecided"), (-0.05, -0.02, "failed")],
)
def test_only_what_lies_below_the_margin_whole_has_failed(
    low: float, high: float, verdict: str
) -> None:
    assert verdict_of(low, high, 0.01) == verdict


def test_a_score_is_the_share_of_right_labels() -> None:
    half = dataclasses.replace(
        judged(1.0, right=True), written={**dict.fromkeys(LABELS, "x"), "type": "y", "priority": ""}
    )

    assert score(half) == 0.5
    assert score(dataclasses.replace(half, wanted={})) is None


TICKETS = [
    LabelledTicket(id="1", body=GERMAN_BODY, language="de", category="billing", priority="high"),
    LabelledTicket(id="2", body=GERMAN_BODY, language="de", category="returns"),
    LabelledTicket(id="3", body="BROKEN " + GERMAN_BODY, language="de", category="billing"),
    LabelledTicket(id="4", body="Hola, hice un pedido y no he recibido nada de ustedes todavía."),
]


@pytest.fixture
def measured(desk: Desk) -> dict[str, Any]:
    engine = ScriptedEngine(lambda prompt: "{" if "BROKEN" in prompt.ticket else written())
    found = run(TICKETS, engine, desk, in_flight=2)
    return summary(found, engine.identity, desk)


def test_a_measurement_says_what_is_right_by_language_and_field(measured: dict[str, Any]) -> None:
    german = measured["languages"]["de"]

    assert german["tickets"] == 3
    assert german["fields"]["category"]["accuracy"] == pytest.approx(1 / 3)
    assert german["fields"]["priority"] == {"labelled": 1, "accuracy": 1.0, "macro_f1": 1.0}
    assert german["json_validity"] == pytest.approx(2 / 3)
    assert german["no_finding"] == pytest.approx(2 / 3)  # what is no answer is not free of faults
    assert german["reply_language_accuracy"] == 1.0
    assert measured["fields"]["category"]["confusion"] == {
        "billing": {NOTHING: 1, "billing": 1},
        "returns": {"billing": 1},
    }
    assert measured["dispositions"] == {"auto": 2, "suggest": 0, "human": 2}


def test_what_nobody_labelled_is_not_counted(measured: dict[str, Any]) -> None:
    assert measured["languages"]["es"]["language_accuracy"] is None
    assert measured["all"]["fields"]["sentiment"]["accuracy"] is None


def test_the_page_shows_every_figure_and_escapes_what_it_shows(measured: dict[str, Any]) -> None:
    measured["model"] = "<script>alert(1)</script>"

    html = page(measured)

    assert "<script>" not in html
    assert html.count("<svg") == 1 + len(LABELS)
    assert "0.333" in html
    assert not re.search(r"(?:src|href)\s*=|url\(|@import", html), "nothing comes from outside"


def test_the_page_of_no_labels_at_all_is_a_page_too(desk: Desk) -> None:
    engine = ScriptedEngine(lambda _: written())

    assert "<h1>" in page(summary(Run([], 0.0), engine.identity, desk))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"id": "1", "body": "x", "category": "biling"}, "category: 'biling' is not one of"),
        (
            {"id": "1", "body": "x", "priority": "asap"},
            "priority: 'asap' is not one of low, medium",
        ),
        ({"id": "1"}, "body: Field required"),
        ({"id": "1", "body": "x", "language": "English"}, "'English' is no code such as de"),
    ],
)
def test_a_label_that_there_is_not_is_refused_with_file_and_line(
    tmp_path: Path, taxonomy: Taxonomy, line: dict[str, str], message: str
) -> None:
    file = tmp_path / "labelled.jsonl"
    file.write_text(f'{{"id": "0", "body": "x"}}\n{json.dumps(line)}\n')

    with pytest.raises(TriageError, match="line 2") as error:
        list(read_lines(file, LabelledTicket, context=taxonomy))

    assert f"{file}, line 2: " in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("answer", [1, "B", "b", "Bern"])
def test_an_answer_is_a_place_a_letter_or_a_text(answer: object) -> None:
    question = Question(question="Capital?", choices=("Zürich", "Bern"), answer=answer)

    assert question.answer == "B"
    assert request_of(question).grammar == 'root ::= "A" | "B"'


@pytest.mark.parametrize("answer", [2, -1, "C", "Basel"])
def test_an_answer_that_is_no_choice_is_refused(answer: object) -> None:
    with pytest.raises(ValueError, match="is none of the choices"):
        Question(question="Capital?", choices=("Zürich", "Bern"), answer=answer)


def test_questions_are_scored_by_their_letter() -> None:
    asked = [Question(question="?", choices=("x", "y"), answer=letter) for letter in "ABA"]

    assert scores(asked, ScriptedEngine(lambda _: "A"), in_flight=2, deadline_s=1) == [1, 0, 1]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    file = tmp_path / "labelled.jsonl"
    lines = [one.model_dump(exclude_none=True) for one in TICKETS]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) * 150)
    return file


def triage(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["quality", *map(str, arguments)])


def test_the_commands_measure_calibrate_and_gate(labelled: Path, tmp_path: Path) -> None:
    scripted = ("--profile", "scripted")
    html, thresholds = tmp_path / "page.html", tmp_path / "thresholds.toml"

    measured = triage("measure", "--tickets", labelled, *scripted, "--json", "--html", html)
    shown = triage("measure", "--tickets", labelled, *scripted)
    fitted = triage("calibrate", "--tickets", labelled, *scripted, "--write", thresholds)
    gated = triage(
        "gate",
        "--candidate",
        "scripted",
        "--reference",
        "scripted",
        "--tickets",
        labelled,
        "--json",
    )

    assert json.loads(measured.stdout)["tickets"] == 600
    assert html.read_text().startswith("<!doctype html>")
    assert "category" in shown.stdout
    assert fitted.exit_code == 0
    assert "[category]" in thresholds.read_text()
    assert gated.exit_code == 0
    assert json.loads(gated.stdout)["comparison"]["verdict"] == "passed"


@pytest.mark.parametrize(
    ("given", "read"), [("EN", "en"), ("ZH_HANT", "zh-Hant"), ("zh-TW", "zh-TW"), ("ja", "ja")]
)
def test_a_language_may_be_written_in_capitals(given: str, read: str) -> None:
    assert LabelledTicket(id="1", body="x", language=given).language == read


@pytest.mark.parametrize("words", [("measure", "--html"), ("calibrate", "--write")])
def test_a_file_that_cannot_be_written_is_told_before_any_ticket_is_triaged(
    labelled: Path, tmp_path: Path, words: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "run", None)
    command, option = words

    refused = triage(command, "--tickets", labelled, "--profile", "scripted",
                     option, tmp_path / "nowhere" / "page")  # fmt: skip

    assert "cannot write" in str(refused.exception)


def test_thresholds_that_nothing_passes_are_told(tmp_path: Path) -> None:
    file = tmp_path / "unlabelled.jsonl"
    file.write_text('{"id": "1", "body": "Wo ist mein Paket?"}\n' * 4)

    fitted = triage("calibrate", "--tickets", file, "--profile", "scripted")

    assert "category, auto: nothing passes" in fitted.stderr
    assert "[category]" in fitted.stdout


def test_the_gate_runs_over_questions_too(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    question = {"question": "2 + 2?", "choices": ["3", "4"], "answer": "4", "subject": "sums"}
    file.write_text((json.dumps(question) + "\n") * 3)

    builds = ("--candidate", "scripted", "--reference", "scripted")

    gated = triage("gate", *builds, "--questions", file)

    assert gated.exit_code == 5
    assert "undecided on 3 cases" in gated.stdout
    assert "about 300 cases would decide" in gated.stdout


def test_the_gate_needs_tickets_or_questions() -> None:
    gated = triage("gate", "--candidate", "scripted", "--reference", "scripted")

    assert isinstance(gated.exception, TriageError)


def test_a_build_is_not_compared_with_itself(labelled: Path) -> None:
    gated = triage("gate", "--candidate", "demo", "--reference", "demo", "--tickets", labelled)

    assert "demo is as good as itself" in str(gated.exception)


def test_a_reference_that_there_is_not_is_told_before_the_candidate_runs(labelled: Path) -> None:
    gated = triage("gate", "--candidate", "scripted", "--reference", "nemo", "--tickets", labelled)

    assert "nemo" in str(gated.exception)
    assert "Triaging" not in gated.output
