"""`triage doctor --profile`: what does not fit together is told, with what to change."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner
from vllm.config.attention import AttentionConfig
from vllm.engine.arg_utils import AsyncEngineArgs

from bench import models
from bench.models import production_profile, real_weights
from tests.conftest import REPOSITORY
from tests.tekken import write_tokenizer
from tests.vllm_twin import VllmTwin
from worker.cli import compose
from worker.cli.main import app
from worker.cli.preflight import look_at_model
from worker.engine import preflight
from worker.engine.arguments import engine_arguments, serve_command
from worker.engine.attention import TRITON, attention_backend
from worker.engine.checkpoint import Checkpoint, on_this_machine
from worker.engine.machine import Machine, has_flashinfers_kernels, this_machine
from worker.engine.preflight import Seen
from worker.engine.profiles import Profile, load_profile
from worker.errors import SettingsError
from worker.quality.gate import compare
from worker.quality.records import GateRecord
from worker.settings import Settings, load_settings

pytestmark = pytest.mark.filterwarnings("ignore")  # torch and vLLM warn while they are imported

ADA = Machine("0.33.0", "NVIDIA GeForce RTX 4090", 89, 25.4)
HOPPER = Machine("0.33.0", "NVIDIA H200", 90, 150.8)
AMPERE = Machine("0.33.0", "NVIDIA A10", 86, 24.1)
AMPERE_WITH_NVCC = replace(AMPERE, compiles=True)
BLACKWELL = Machine("0.33.0", "NVIDIA B200", 100, 192.0)
PASCAL = Machine("0.33.0", "Tesla P40", 61, 25.6)
SMALL = Machine("0.33.0", "NVIDIA L4 (half)", 89, 10.0)
CPU = Machine("0.32.0", "CPU", None, 24.0)

NEMO = {
    "model_type": "mistral",
    "torch_dtype": "float16",
    "hidden_size": 5120,
    "intermediate_size": 14336,
    "num_hidden_layers": 40,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 131072,
    "max_position_embeddings": 131072,
    "rope_theta": 1000000.0,
    "sliding_window": None,
    "quantization_config": {"quant_method": "awq", "bits": 4},
}


def wrong(seen: list[Seen]) -> dict[str, str]:
    """What is not well, with what to do about it."""
    return {one.what: one.fix for one in seen if one.fix and not one.is_warning}


def on(machine: Machine, name: str) -> dict[str, str]:
    return wrong(list(preflight.of_machine(load_profile(name), machine)))


@pytest.fixture(scope="module")
def nemo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nemo")
    write_tokenizer(folder)
    return folder


def checked(nemo: Path, machine: Machine = ADA, **changes: Any) -> dict[str, str]:
    profile = load_profile("nemo-awq-32k")
    checkpoint = Checkpoint(nemo, {**NEMO, **changes})
    return wrong(list(preflight.of_checkpoint(profile, checkpoint, machine)))


@pytest.mark.parametrize(
    ("machine", "name", "what"),
    [
        (ADA, "nemo-awq-32k", []),
        (ADA, "nemo-awq-128k", []),
        (ADA, "nemo-fp8-128k", ["memory"]),  # 26.0 of 23.9 GB
        (AMPERE, "nemo-awq-32k", ["attention"]),  # nothing there reads an FP8 cache
        (AMPERE_WITH_NVCC, "nemo-awq-32k", []),
        (PASCAL, "nemo-awq-32k", ["kernel", "attention"]),
        (SMALL, "nemo-awq-32k", ["memory"]),
        (CPU, "nemo-awq-32k", ["kernel", "memory"]),
        (CPU, "demo", []),
    ],
)
def test_a_profile_is_held_against_the_machine(
    machine: Machine, name: str, what: list[str]
) -> None:
    assert list(on(machine, name)) == what


@pytest.mark.parametrize(
    ("machine", "cache", "takes"),
    [
        (ADA, "fp8", "TRITON_ATTN"),
        (replace(ADA, compiles=True), "fp8", None),
        (ADA, "auto", None),
        (HOPPER, "fp8", None),
        (BLACKWELL, "fp8", "TRITON_ATTN"),
        (BLACKWELL, "auto", "TRITON_ATTN"),
        (CPU, "auto", None),
    ],
)
def test_what_cannot_be_compiled_is_not_taken(
    machine: Machine, cache: str, takes: str | None
) -> None:
    profile = load_profile("nemo-awq-32k").model_copy(update={"kv_cache_dtype": cache})

    assert attention_backend(profile, machine) == takes


def test_a_profile_may_name_its_attention() -> None:
    own = load_profile("nemo-awq-32k").model_copy(update={"attention_backend": "FLASHINFER"})

    assert attention_backend(own, ADA) == "FLASHINFER"
    assert "--attention-backend FLASHINFER" in serve_command(own)


def test_vllm_has_the_attention_that_is_asked_for() -> None:
    arguments = AsyncEngineArgs(**engine_arguments(load_profile("demo"), TRITON))

    assert AttentionConfig(backend=arguments.attention_backend).backend is not None


@pytest.mark.parametrize(
    ("nvcc", "ninja", "compiles"),
    [("nvcc", "ninja", True), ("nvcc", "other", False), ("other", "ninja", False)],
)
def test_a_compiler_is_looked_for_where_flashinfer_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nvcc: str, ninja: str, *, compiles: bool
) -> None:
    for name in (nvcc, ninja):
        (path := tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        path.touch(mode=0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    assert has_flashinfers_kernels() is compiles


def test_a_model_that_does_not_fit_is_refused_with_what_to_change() -> None:
    with pytest.raises(SettingsError, match=r"takes 12.\d GB of 9.5 GB .*; see `triage plan`"):
        preflight.refuse_what_cannot_start(load_profile("nemo-awq-32k"), SMALL)


def test_a_version_that_nobody_tried_is_a_warning() -> None:
    old = Machine("0.19.1", ADA.device, ADA.capability, ADA.memory_gb)

    [version, *_] = preflight.of_machine(load_profile("nemo-awq-32k"), old)

    assert version.is_warning
    assert version.fix


@pytest.mark.parametrize(("free_gb", "is_well"), [(23.0, True), (22.0, False)])
def test_memory_that_others_have_taken_is_told(
    monkeypatch: pytest.MonkeyPatch, free_gb: float, is_well: bool
) -> None:
    monkeypatch.setattr(preflight, "free_gb", lambda: free_gb)
    profile = load_profile("nemo-awq-32k").model_copy(update={"memory_share": 0.9})

    seen = preflight.free_memory(profile, replace(ADA, memory_gb=25.0))  # vLLM takes 22.5

    assert (seen.fix is None) is is_well
    assert seen.found == f"{free_gb} GB of the 22.5 GB that vLLM takes"


def test_a_quantization_that_vllm_does_not_know_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = load_profile("nemo-awq-32k").model_copy(update={"quantization": "int1"})

    assert preflight.kernel(made_up, ADA).fix


def test_nemos_own_files_are_well(nemo: Path) -> None:
    assert checked(nemo) == {}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"rope_theta": 10_000.0}, "RoPE base"),
        ({"rope_theta": None, "rope_parameters": {"rope_theta": 10_000.0}}, "RoPE base"),
        ({"rope_theta": None}, "RoPE base"),
        ({"max_position_embeddings": 8_192}, "context"),
        ({"sliding_window": 4_096}, "sliding window"),
        ({"quantization_config": {"quant_method": "gptq"}}, "weights"),
        ({"quantization_config": None}, "weights"),
        ({"num_hidden_layers": 64}, "size"),
        ({"model_type": "gemma2"}, "size"),
    ],
)
def test_another_models_config_is_told(nemo: Path, changes: dict[str, Any], what: str) -> None:
    assert list(checked(nemo, **changes)) == [what]


def test_an_fp8_cache_on_hopper_wants_bfloat16(nemo: Path, tmp_path: Path) -> None:
    assert "bfloat16" in checked(nemo, HOPPER)["calculation"]
    assert checked(nemo, HOPPER, torch_dtype="bfloat16") == {}

    own = load_profile("nemo-awq-32k").model_copy(update={"model": str(tmp_path)})
    (tmp_path / "config.json").write_text(json.dumps(NEMO))
    with pytest.raises(SettingsError, match=r"float16, the cache in fp8; .* dtype = \"bfloat16\""):
        preflight.refuse_what_cannot_start(own, HOPPER)


@pytest.mark.parametrize("machine", [ADA, HOPPER])
def test_what_is_measured_on_a_card_can_run_there(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRIAGE_DATA_DIR", str(tmp_path))

    for _ in range(2):  # it finds what the last one left
        profile = load_profile(str(production_profile()))

    found = preflight.of_checkpoint(profile, Checkpoint.of(profile), machine)
    assert wrong(list(found)) == {}


@pytest.mark.parametrize("machine", [ADA, HOPPER])
def test_nemos_own_weights_are_measured_with_the_profile_for_the_card(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, nemo: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(nemo, tmp_path / "own")
    (folder / "config.json").write_text(json.dumps(NEMO))
    monkeypatch.setenv("TRIAGE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TRIAGE_MODEL_DIR", str(folder))
    monkeypatch.setattr(models, "this_machine", lambda: machine)

    preflight.refuse_what_cannot_start(load_profile(str(production_profile())), machine)


@pytest.mark.parametrize(
    ("quantization", "precision"),
    [({"quant_method": "awq"}, "awq"), ({"quant_method": "fp8"}, "fp8"), (None, "fp8")],
)
def test_weights_are_measured_in_their_own_precision(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quantization: Any, precision: str
) -> None:
    config = {**NEMO, "quantization_config": quantization}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("TRIAGE_MODEL_DIR", str(tmp_path))

    assert real_weights() == {precision: tmp_path}


def test_another_models_weights_are_not_measured_as_nemo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN_32B))
    monkeypatch.setenv("TRIAGE_MODEL_DIR", str(tmp_path))

    with pytest.raises(SettingsError, match="is not Mistral Nemo 12B"):
        production_profile()


def test_weights_that_are_not_where_they_are_said_to_be_are_not_replaced_by_random_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRIAGE_MODEL_DIR", str(tmp_path / "typo"))

    with pytest.raises(SettingsError, match=r"typo has no config\.json"):
        real_weights()


@pytest.mark.parametrize("folder", ["/somewhere/gone", "models/gone"])
def test_a_folder_that_is_not_there_is_refused_before_the_hub_is_asked(folder: str) -> None:
    own = load_profile("demo").model_copy(update={"model": folder})

    with pytest.raises(SettingsError, match=r"there is no folder .*gone: put the model's files"):
        preflight.refuse_what_cannot_start(own, CPU)


QWEN_32B = {
    "model_type": "qwen2", "num_hidden_layers": 64, "hidden_size": 5120,
    "intermediate_size": 27648, "num_attention_heads": 40, "num_key_value_heads": 8,
    "vocab_size": 152064, "max_position_embeddings": 32768, "rope_theta": 1000000.0,
    "torch_dtype": "float16", "quantization_config": {"quant_method": "awq"},
}  # fmt: skip


def test_a_model_larger_than_its_profile_says_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN_32B))
    own = load_profile("qwen-awq-32k").model_copy(update={"model": str(tmp_path)})
    unsized = own.model_copy(update={"size": None})

    with pytest.raises(
        SettingsError, match=r"size: takes 25.\d GB; the qwen-2.5-14b that \[size\]"
    ):
        preflight.refuse_what_cannot_start(own, ADA)
    with pytest.raises(SettingsError, match=r"memory: takes 25.\d GB of 24.1 GB"):
        preflight.refuse_what_cannot_start(unsized, ADA)


def test_tokens_that_were_added_change_no_size(nemo: Path) -> None:
    assert checked(nemo, vocab_size=131_074) == {}
    assert checked(nemo, num_hidden_layers=30) == {}


def test_a_model_whose_memory_is_not_known_is_a_warning(tmp_path: Path) -> None:
    other = {**QWEN_32B, "model_type": "gemma2"}
    unsized = load_profile("qwen-awq-32k").model_copy(update={"size": None})

    [seen] = preflight.sizes(unsized, Checkpoint(tmp_path, other), ADA)

    assert seen.is_warning
    assert "model_type is gemma2" in seen.found


def test_doctor_looks_at_servers_in_place_of_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = VllmTwin()
    monkeypatch.setenv("TRIAGE_SERVERS", twin.url)

    told = CliRunner().invoke(app, ["doctor", "--profile", "demo"])
    twin.stop()
    away = CliRunner().invoke(app, ["doctor", "--profile", "demo"])

    assert (told.exit_code, away.exit_code) == (0, 1)
    assert f"✓ servers: {twin.url}: vllm 0.33.0" in told.stdout
    assert "✓ chat template" in told.stdout
    assert "kernel" not in told.stdout


def test_a_context_beyond_the_models_is_refused_before_vllm_is_started() -> None:
    own = load_profile("demo").model_copy(update={"max_model_len": 9000})

    with pytest.raises(SettingsError, match=r"8,192 tokens, .* 9,000; lower max_model_len"):
        preflight.refuse_what_cannot_start(own, CPU)


def test_a_vllm_for_cards_that_sees_none_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = SimpleNamespace(is_cpu=lambda: False, get_device_capability=lambda: None)
    monkeypatch.setattr("vllm.platforms.current_platform", blind)

    with pytest.raises(SettingsError, match="sees none: a container needs"):
        this_machine()


@pytest.mark.parametrize(
    "changes",
    [
        {"max_position_embeddings": None},  # it may stand in a part of the file
        {"max_position_embeddings": 8_192, "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    ],
)
def test_a_context_that_the_config_leaves_open_is_vllms_to_refuse(
    nemo: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    folder = shutil.copytree(nemo, tmp_path / "model")
    (folder / "config.json").write_text(json.dumps({**NEMO, **changes}))
    own = load_profile("nemo-awq-32k").model_copy(update={"model": str(folder)})

    preflight.refuse_what_cannot_start(own, ADA)


@pytest.mark.parametrize(
    ("machine", "config", "refused"),
    [
        (ADA, NEMO, None),
        (HOPPER, NEMO, "an FP8 cache needs dtype"),
        (ADA, {**NEMO, "num_hidden_layers": 64}, r"takes 1\d\.\d GB; the nemo-12b that \[size\]"),
    ],
)
def test_a_model_of_the_hub_is_refused_before_its_weights_are_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: Machine, config: Any, refused: str
) -> None:
    def give(model: str, file: str, **_: Any) -> str:
        assert (model, file) == (load_profile("nemo-awq-32k").model, "config.json")
        (tmp_path / file).write_text(json.dumps(config))
        return str(tmp_path / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", give)

    with pytest.raises(SettingsError, match=refused) if refused else nullcontext():
        preflight.refuse_what_cannot_start(load_profile("nemo-awq-32k"), machine)


def test_a_hub_that_gives_nothing_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise OSError("401 gated")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)

    with pytest.raises(SettingsError, match=r"the hub gives none .*hf download casperhansen"):
        preflight.refuse_what_cannot_start(load_profile("nemo-awq-32k"), ADA)


@pytest.mark.parametrize(
    ("machine", "kept", "well"),
    [(ADA, None, True), (CPU, None, True), (ADA, {"quant_method": "awq"}, False)],
)
def test_weights_in_16_bits_are_a_profile_too(
    nemo: Path, machine: Machine, kept: Any, *, well: bool
) -> None:
    profile = load_profile("nemo-awq-32k").model_copy(update={"quantization": None, "size": None})
    checkpoint = Checkpoint(nemo, {**NEMO, "quantization_config": kept})
    kernel, weights = (
        preflight.kernel(profile, machine),
        preflight.quantization(profile, checkpoint),
    )

    assert kernel.fix is None
    assert (weights.fix is None) is well
    assert "--quantization" not in serve_command(profile)
    takes = [seen.found for seen in preflight.sizes(profile, checkpoint, ADA)]
    assert takes == ["takes 28.9 GB of 24.1 GB (share 0.95)"]


def test_another_models_chat_template_is_told(nemo: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(nemo, tmp_path / "model")
    (folder / "chat_template.jinja").write_text(
        "{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}"
    )

    assert list(checked(folder)) == ["chat template"]


def test_a_tokenizer_that_is_not_tekken_is_told(nemo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(REPOSITORY / "models/demo", folder, ignore=shutil.ignore_patterns("*.py"))

    assert list(checked(folder)) == ["tokenizer"]


def test_a_missing_checkpoint_is_told_with_the_command_that_gets_it() -> None:
    with pytest.raises(SettingsError, match="hf download casperhansen/mistral-nemo"):
        Checkpoint.of(load_profile("nemo-awq-32k"))


@pytest.mark.parametrize(
    ("lacks", "is_whole"),
    [
        ("", True),
        ("model-00002-of-00002.safetensors", False),
        ("model.safetensors.index.json", False),
        ("tokenizer.json", False),
    ],
)
def test_the_hub_is_not_asked_for_a_model_that_was_downloaded_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lacks: str, is_whole: bool
) -> None:
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = {"weight_map": dict(zip("ab", shards, strict=True))}
    files = dict.fromkeys([*shards, "tokenizer.json"], "")
    files |= {"config.json": json.dumps(NEMO), "model.safetensors.index.json": json.dumps(index)}
    for name, content in files.items():
        if name != lacks:
            (tmp_path / name).write_text(content)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    profile = load_profile("nemo-awq-32k").model_copy(update={"revision": "v1"})

    here = on_this_machine(profile)

    assert (here.model_path, here.revision) == (
        (str(tmp_path), None) if is_whole else (profile.model, "v1")
    )


def test_a_model_that_is_not_here_stays_the_hubs_to_give() -> None:
    profile = load_profile("nemo-awq-32k")

    assert on_this_machine(profile) == profile


def test_a_model_of_which_only_the_config_was_fetched_is_not_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(NEMO))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))

    with pytest.raises(SettingsError, match="hf download casperhansen/mistral-nemo"):
        Checkpoint.of(load_profile("nemo-awq-32k"))


def demo() -> tuple[Profile, str]:
    profile = load_profile("demo")
    return profile, Checkpoint.of(profile).build(profile)


def test_a_build_is_its_files_and_how_they_run(tmp_path: Path) -> None:
    profile, build = demo()
    folder = tmp_path / "model"
    shutil.copytree(REPOSITORY / "models/demo", folder)
    config = json.loads((folder / "config.json").read_text())
    copied = Checkpoint(folder, config).build(profile)
    in_fp8 = Checkpoint(folder, config).build(profile.model_copy(update={"kv_cache_dtype": "fp8"}))
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)

    (folder / "pytorch_model.bin").write_bytes(b"more")
    with_more = Checkpoint(folder, config).build(profile)
    (folder / "pytorch_model.bin").unlink()

    assert with_more != build
    assert copied == build
    assert len({build, in_fp8, Checkpoint(folder, config).build(profile)}) == 3


def on_file(
    folder: Path, candidate: list[float], *, version: str = "0.32.0", cases: str = "0",
    margin: float = 0.01,
) -> None:  # fmt: skip
    _, build = demo()
    GateRecord(
        build=build, candidate="demo", reference="full", engine_version=f"vllm {version}",
        cases_file="holdout.jsonl", cases=cases * 64, margin=margin,
        comparison=compare(candidate, [1.0] * len(candidate), margin=margin), at=datetime.now(UTC),
    ).write(folder)  # fmt: skip


def doctor(*options: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["doctor", "--profile", "demo", *options])
    return found.exit_code, found.output


def test_without_a_gate_on_file_doctor_warns_and_strictly_refuses() -> None:
    code, output = doctor()
    strict_code, _ = doctor("--strict")

    assert (code, strict_code) == (0, 1)
    assert "! quality gate: none of this build" in output


def test_what_servers_run_is_not_known_to_have_passed_a_gate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    twin = VllmTwin()
    monkeypatch.setenv("TRIAGE_SERVERS", twin.url)

    (code, output), (strict_code, _) = doctor(), doctor("--strict")
    twin.stop()

    assert (code, strict_code) == (0, 1)
    assert "! quality gate: servers do not tell which build they run" in output


def test_weights_that_are_quantized_when_loaded_need_a_gate_too(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**NEMO, "quantization_config": None}))
    profile = load_profile("nemo-fp8-128k").model_copy(update={"model": str(tmp_path)})
    settings = load_settings(gates=tmp_path)

    *_, seen = look_at_model(profile, settings, replace(ADA, memory_gb=48.0))

    assert seen.what == "quality gate"
    assert seen.is_warning


def test_where_nothing_can_ask_servers_doctor_says_where_to_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_tokenizers(_: Settings) -> None:
        raise ImportError("No module named 'transformers'")

    monkeypatch.setenv("TRIAGE_SERVERS", "http://127.0.0.1:9")
    monkeypatch.setattr(compose, "server_engine", no_tokenizers)

    code, output = doctor()

    assert code == 0
    assert output.rstrip().endswith("look from a worker")


def test_a_gate_that_was_passed_by_this_build_satisfies_a_strict_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAGE_GATES", str(tmp_path))
    on_file(tmp_path, [1.0] * 400)

    code, output = doctor("--strict")

    assert code == 0, output
    assert "passed against full on 400 cases (vllm 0.32.0" in output


def test_a_gate_with_a_wider_margin_counts_for_nothing_and_takes_no_others_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAGE_GATES", str(tmp_path))
    on_file(tmp_path, [0.9] * 400, margin=0.2)

    code, output = doctor("--strict")
    on_file(tmp_path, [0.9, 0.8] * 200)
    on_file(tmp_path, [0.9, 0.8] * 200, margin=0.5)
    failed_code, failed = doctor()

    assert (code, failed_code) == (1, 1)
    assert "none of this build at most 1% worse" in output
    assert "failed against full" in failed


def test_a_gate_under_another_vllm_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIAGE_GATES", str(tmp_path))
    on_file(tmp_path, [1.0] * 400, version="0.30.0")

    assert doctor()[0] == 0
    assert doctor("--strict")[0] == 1


@pytest.mark.parametrize(("passed_on", "code"), [(0, 1), (400, 0)])
def test_a_gate_on_too_few_cases_matters_only_until_one_is_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passed_on: int, code: int
) -> None:
    monkeypatch.setenv("TRIAGE_GATES", str(tmp_path))
    on_file(tmp_path, [1.0] * 20)
    if passed_on:
        on_file(tmp_path, [1.0] * passed_on, cases="1")

    assert doctor("--strict")[0] == code


def test_a_gate_that_was_failed_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_GATES", str(tmp_path))
    on_file(tmp_path, [0.0, 1.0] * 200)
    on_file(tmp_path, [1.0] * 400, cases="1")

    code, output = doctor()

    assert code == 1
    assert "failed against full on holdout.jsonl" in output


def test_a_file_that_is_no_gate_is_refused(tmp_path: Path) -> None:
    _, build = demo()
    (tmp_path / f"{build[:16]}-1.json").write_text("{}")

    with pytest.raises(SettingsError, match="is no result of a gate"):
        GateRecord.read_all(tmp_path, build)
