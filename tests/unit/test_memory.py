"""What models take of a card: the published figures, and the arithmetic behind them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import REPOSITORY
from worker.cli.main import app
from worker.engine.arguments import serve_command
from worker.engine.memory import Plan, Precision, Shape, known_shapes, shape_of
from worker.engine.profiles import load_profile, profile_names
from worker.errors import SettingsError

NEMO = known_shapes()["nemo-12b"]
K = 1000
"""The published table counts contexts of 8k, 32k and 128k in thousands."""


def plan(precision: str, context: int, cache: str = "fp8", card_gb: float = 24) -> Plan:
    return Plan(NEMO, Precision(precision), cache, context, 16, card_gb, 1.0)


def test_nemo_has_the_parameters_it_is_said_to_have() -> None:
    assert NEMO.parameters / 1e9 == pytest.approx(12.2, abs=0.1)


@pytest.mark.parametrize(("cache", "expected"), [("fp8", 81_920), ("fp16", 163_840)])
def test_kv_bytes_of_a_token(cache: str, expected: int) -> None:
    assert NEMO.kv_bytes(cache) == expected


@pytest.mark.parametrize(("precision", "gb"), [("fp16", 24.4), ("fp8", 12.2), ("awq", 7.0)])
def test_weights_by_precision(precision: str, gb: float) -> None:
    assert plan(precision, 8 * K).weights_gb == pytest.approx(gb, abs=0.1)


@pytest.mark.parametrize(("context", "gb"), [(8 * K, 0.7), (32 * K, 2.6), (128 * K, 10.5)])
def test_kv_cache_by_context(context: int, gb: float) -> None:
    assert plan("awq", context).kv_gb == pytest.approx(gb, abs=0.1)


@pytest.mark.parametrize(
    ("precision", "context", "gb", "fits"),
    [
        ("awq", 32 * K, 11.3, True),
        ("awq", 128 * K, 19.2, True),
        ("fp8", 128 * K, 24.4, False),
        ("fp16", 128 * K, 36.6, False),
        ("fp16", 8 * K, 26.8, False),
    ],
)
def test_the_published_totals_on_a_card_of_24_gb(
    precision: str, context: int, gb: float, *, fits: bool
) -> None:
    found = plan(precision, context)

    assert found.total_gb == pytest.approx(gb, abs=0.1)
    assert found.fits == fits


@pytest.mark.parametrize(
    ("model", "gb"),
    [("nemo-12b", 8.35), ("llama-3.1-8b", 5.73), ("qwen-2.5-14b", 9.98)],
)
def test_an_awq_build_is_loaded_with_embeddings_in_16_bits(model: str, gb: float) -> None:
    """The weights of the published builds, in GB: AutoAWQ packs layers, not embeddings and head."""
    made = Plan(known_shapes()[model], Precision.AWQ, "fp8", 32 * K, 16, 24, 1.0)

    assert made.loaded_gb - made.kv_gb - 1.7 == pytest.approx(gb, abs=0.05)


def test_what_is_left_is_for_batching() -> None:
    found = Plan(NEMO, Precision.AWQ, "fp8", 32_768, 16, 24, 0.95)

    left_gb = 24 * 0.95 - 8.35 - 1.7
    assert found.kv_tokens == pytest.approx(left_gb * 1e9 / 81_920, rel=0.005)
    assert found.tokens_each == found.kv_tokens // 16


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_fits_the_least_card_that_it_names(name: str) -> None:
    made = load_profile(name).plan

    assert made is None or made.fits
    assert made is None or made.context <= made.shape.max_context
    assert made is None or made.tokens_each > 2_000  # a ticket and its answer


def test_a_config_json_says_the_same_as_the_table(tmp_path: Path) -> None:
    config = {
        "num_hidden_layers": 40, "hidden_size": 5120, "intermediate_size": 14336,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "vocab_size": 131072, "max_position_embeddings": 131072,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))

    read = shape_of(str(tmp_path))

    assert (read.parameters, read.kv_bytes("fp8")) == (NEMO.parameters, NEMO.kv_bytes("fp8"))


def test_the_demonstration_models_parameters_are_counted_right() -> None:
    read = Shape.of_config(REPOSITORY / "models/demo/config.json")
    embeddings = 6144 * 256
    layer = 256 * 64 * (4 + 2 + 2 + 4) + 3 * 256 * 768 + 2 * 256

    assert read.parameters == embeddings + 5 * layer + 256


@pytest.mark.parametrize(
    ("model", "said"), [("gpt-5", "no known model"), ("{tmp}/config.json", "not the config.json")]
)
def test_a_model_that_cannot_be_read_is_refused(tmp_path: Path, model: str, said: str) -> None:
    (tmp_path / "config.json").write_text('{"vocab_size": 1}')

    with pytest.raises(SettingsError, match=said):
        shape_of(model.replace("{tmp}", str(tmp_path)))


@pytest.mark.parametrize("name", ["num_local_experts", "kv_lora_rank"])
def test_models_that_are_counted_otherwise_are_refused(tmp_path: Path, name: str) -> None:
    config = json.loads((REPOSITORY / "models/demo/config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, name: 8}))

    with pytest.raises(SettingsError, match=f"{name} is set"):
        shape_of(str(tmp_path))


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.stdout


def test_the_plan_names_the_profiles_that_fit_the_card() -> None:
    code, said = run("plan", "nemo-12b", "--card", "24", "--json")

    found = json.loads(said)
    assert (code, found["fits"]) == (0, True)
    assert found["profiles"] == ["nemo-awq-128k", "nemo-awq-32k", "nemo-awq-32k-hopper"]


def test_a_plan_that_does_not_fit_says_by_how_much_and_exits_4() -> None:
    code, said = run("plan", "nemo-12b", "--precision", "fp8", "--context", "131072")

    assert code == 4
    assert "together     24.7" in said
    assert "Does not fit: 3.2 GB too much" in said


@pytest.mark.parametrize(
    ("asked", "remedies"),
    [
        (("--precision", "fp8", "--context", "131072"),
         ["--precision awq", "--context 91136", "--card 28"]),
        (("--precision", "fp16"), ["--precision fp8", "--precision awq", "--card 31"]),
        (("--context", "131072", "--card", "9"), ["--card 22"]),
    ],
)  # fmt: skip
def test_each_thing_that_a_plan_offers_makes_it_fit(
    asked: tuple[str, ...], remedies: list[str]
) -> None:
    _, said = run("plan", "nemo-12b", *asked)

    *others, last = remedies
    offered = f"{', '.join(others)} or {last}." if others else f"{last}."
    assert f"It would with {offered}" in said
    for one in remedies:
        assert run("plan", "nemo-12b", *asked, *one.split())[0] == 0


def test_a_small_model_weighs_more_than_nothing() -> None:
    _, said = run("plan", str(REPOSITORY / "models" / "demo" / "config.json"))

    assert "weights      0.00" in said
    assert "weights      0.000" not in said


PUBLISHED = {
    "nemo-awq-32k": {
        "--quantization": "awq_marlin", "--kv-cache-dtype": "fp8", "--max-model-len": "32768",
        "--max-num-seqs": "16", "--gpu-memory-utilization": "0.95", "--enable-prefix-caching": "",
    },
    "nemo-fp8-128k": {
        "--quantization": "fp8", "--kv-cache-dtype": "fp8", "--max-model-len": "131072",
        "--max-num-seqs": "4", "--gpu-memory-utilization": "0.94", "--enable-prefix-caching": "",
        "--enable-chunked-prefill": "",
    },
}  # fmt: skip
OURS = {
    "--dtype": "auto",  # vLLM's default, as is the next
    "--enable-chunked-prefill": "",
    "--scheduling-policy": "priority",
    "--structured-outputs-config.backend": "xgrammar",
    "--enable-prompt-tokens-details": "",
}
"""What the published lines do not say."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_line_for_vllm_serve_is_the_published_one_and_what_triage_needs(name: str) -> None:
    code, said = run("profile", "command", name)

    assert code == 0
    assert said.startswith(f"vllm serve {load_profile(name).model} ")
    assert flags(said) == PUBLISHED[name] | OURS


def flags(line: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in line.split()[3:]:
        if word.startswith("--"):
            found[word] = ""
        else:
            found[list(found)[-1]] += word
    return found


def test_what_vllm_would_switch_on_by_itself_is_switched_off_by_name() -> None:
    without = load_profile("nemo-awq-32k").model_copy(update={"enable_prefix_caching": False})

    assert "--no-enable-prefix-caching" in flags(serve_command(without))


def test_profiles_are_listed_and_shown() -> None:
    _, listed = run("profile", "list", "--json")
    _, shown = run("profile", "show", "nemo-awq-32k")

    assert {one["name"] for one in json.loads(listed)} == set(profile_names())
    assert json.loads(shown)["max_num_seqs"] == 16
    assert "nemo-awq-32k" in run("profile", "list")[1]
