"""What models take of a card: the published figures, and the arithmetic behind them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import REPOSITORY
from worker.cli.main import app
from worker.engine.arguments import serve_command
from worker.engine.memory import Plan, Precision
from worker.engine.profiles import load_profile, profile_names
from worker.engine.shape import Shape, known_shapes, shape_of
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


NEMOS = {
    "model_type": "mistral", "num_hidden_layers": 40, "hidden_size": 5120,
    "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8,
    "head_dim": 128, "vocab_size": 131072, "max_position_embeddings": 1024000,
}  # fmt: skip


def test_a_config_json_says_the_same_as_the_table(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(NEMOS))

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


@pytest.mark.parametrize(
    "name", ["num_local_experts", "num_experts", "n_routed_experts", "kv_lora_rank"]
)
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
    assert found["profile"] == "nemo-awq-32k"
    assert found["profiles"] == ["nemo-awq-32k", "nemo-awq-32k-hopper", "nemo-awq-128k"]


def planned(folder: Path, *words: str, **changes: object) -> tuple[int, str]:
    """A plan for a `config.json` of Nemo's with these changes."""
    (folder / "config.json").write_text(json.dumps({**NEMOS, **changes}))
    return run("plan", str(folder / "config.json"), *words)


def test_a_config_json_finds_the_profiles_of_its_model(tmp_path: Path) -> None:
    assert "Take the profile nemo-awq-32k or" in planned(tmp_path)[1]


def test_a_name_alone_finds_no_profile(tmp_path: Path) -> None:
    (toy := tmp_path / "nemo-12b").mkdir()

    assert "No profile is for nemo-12b on such a card" in planned(toy, num_hidden_layers=2)[1]


def test_profiles_that_do_what_is_asked_come_first() -> None:
    _, four = run("plan", "nemo-12b", "--context", "131072", "--sequences", "4")
    _, many = run("plan", "nemo-12b", "--context", "8192", "--sequences", "64")

    assert "Take the profile nemo-awq-128k. Others" in four
    assert "has 8,192 tokens × 64 at once in awq; there are nemo-awq-128k, nemo-awq-32k" in many


def test_a_profile_takes_no_more_than_its_own_share_of_the_card() -> None:
    asked = ("plan", "nemo-12b", "--card", "26.1", "--share", "1", "--json")

    assert "nemo-fp8-128k" not in json.loads(run(*asked)[1])["profiles"]


def test_weights_are_counted_as_they_are_kept(tmp_path: Path) -> None:
    in_fp8 = {"quantization_config": {"quant_method": "fp8"}}
    code, said = planned(tmp_path, "--json", **in_fp8)
    _, long = planned(tmp_path, "--context", "131072", "--sequences", "4", "--card", "32", **in_fp8)

    found = json.loads(said)
    assert (code, found["weights_gb"], found["profile"]) == (0, 12.25, None)
    assert "Take the profile nemo-fp8-128k." in long


def test_weights_that_are_kept_in_another_way_want_a_precision(tmp_path: Path) -> None:
    of_gptq = {"quantization_config": {"quant_method": "gptq"}}
    (tmp_path / "config.json").write_text(json.dumps({**NEMOS, **of_gptq}))

    with pytest.raises(SettingsError, match="kept as gptq: name a --precision"):
        CliRunner().invoke(app, ["plan", str(tmp_path)], catch_exceptions=False)


def test_no_plan_goes_beyond_the_models_context(tmp_path: Path) -> None:
    code, said = run("plan", "nemo-12b", "--context", "200000")
    short = planned(tmp_path, max_position_embeddings=8192)

    assert code == 4
    assert "knows contexts of 131,072 tokens at most: --context 131072." in said
    assert (short[0], "8,192 tokens × 81,920" in short[1]) == (0, True)


@pytest.mark.parametrize("name", ["num_attention_heads", "num_hidden_layers", "vocab_size"])
@pytest.mark.parametrize("wrong", [0, -2, "many", [], float("inf")])
def test_a_size_that_is_none_is_refused(tmp_path: Path, name: str, wrong: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**NEMOS, name: wrong}))

    with pytest.raises(SettingsError, match=r"not the config\.json of such a model"):
        shape_of(str(tmp_path))


@pytest.mark.parametrize("content", [b"[]", b"null", b"\xff\xfe", b"{"])
def test_a_file_that_is_no_config_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)

    with pytest.raises(SettingsError, match=r"config\.json"):
        shape_of(str(tmp_path))


def test_a_family_that_is_counted_otherwise_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**NEMOS, "model_type": "gemma2"}))

    with pytest.raises(SettingsError, match="model_type is gemma2"):
        shape_of(str(tmp_path))


@pytest.mark.parametrize("card", ["inf", "nan", "0"])
def test_a_card_that_is_none_is_refused(card: str) -> None:
    assert run("plan", "nemo-12b", "--card", card)[0] == 2


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

    assert [json.loads(one)["name"] for one in listed.splitlines()] == list(profile_names())
    assert json.loads(shown)["max_num_seqs"] == 16
    assert "nemo-awq-32k" in run("profile", "list")[1]
