"""A profile that cannot run is refused at a worker's start, with what to change."""

from pathlib import Path

import pytest
import vllm.envs
from typer.testing import CliRunner

from tests.conftest import REPOSITORY
from worker.cli.main import app
from worker.engine import environment as told
from worker.engine.environment import environment
from worker.engine.profiles import Profile, load_profile, profile_names
from worker.engine.tokens import PromptEncoder
from worker.errors import SettingsError

DEMO = (REPOSITORY / "worker/engine/profiles/demo.toml").read_text()

pytestmark = pytest.mark.filterwarnings("ignore")  # torch and vLLM warn while they are imported


def profile(folder: Path, old: str = "", new: str = "") -> str:
    """The demonstration's profile with something changed, as a file of a desk's own."""
    assert old in DEMO
    path = folder / "own.toml"
    path.write_text(DEMO.replace(old, new, 1))
    return str(path)


def sized(folder: Path, model: str, precision: str) -> str:
    """The demonstration's profile, said to be of this model, for a card of 24 GB."""
    size = f'[size]\nmodel = "{model}"\nprecision = "{precision}"\ncard_gb = 24\n\n[sampling]'
    return profile(folder, "[sampling]", size)


def start_a_worker(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The one line with which a worker refuses to start; no database is asked before."""
    monkeypatch.setenv("TRIAGE_PROFILE", name)
    monkeypatch.setenv("TRIAGE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("TRIAGE_BROKER_URL", "memory://")
    monkeypatch.setenv("TRIAGE_METRICS_PORT", "0")
    found = CliRunner().invoke(app, ["worker"])
    assert isinstance(found.exception, SettingsError), found.output
    return str(found.exception)


def test_a_profile_of_ones_own_is_a_file(tmp_path: Path) -> None:
    own = load_profile(profile(tmp_path, "max_num_seqs = 16", "max_num_seqs = 8"))

    assert (own.name, own.max_num_seqs) == ("own", 8)


def test_an_unknown_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = profile(tmp_path, "max_num_seqs", "max_num_sequences")

    said = start_a_worker(name, monkeypatch)

    assert "own.toml: max_num_sequences: there is no such key (did you mean max_num_seqs?)" in said
    assert "; max_num_seqs: Field required" in said


def test_a_key_unlike_all_others_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = profile(tmp_path, "seed = 0", "seed = 0\nquux = 1")

    said = start_a_worker(name, monkeypatch)

    assert said.endswith("own.toml: sampling.quux: there is no such key")


def test_a_size_of_a_model_that_nobody_knows_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = sized(tmp_path, "gpt-5", "awq")

    said = start_a_worker(name, monkeypatch)

    assert "own.toml: size.model: " in said
    assert "one of nemo-12b, " in said


def test_a_narrow_terminal_shows_every_profiles_name_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    listed = CliRunner().invoke(app, ["profile", "list"]).output

    assert set(profile_names()) <= {line.split(" ")[0] for line in listed.splitlines()}


@pytest.mark.parametrize("model", ["nemo", "llama", "phi-3-medium", "qwen"])
def test_every_model_comes_in_awq_and_in_fp8(model: str) -> None:
    weights = {load_profile(name).quantization for name in profile_names() if model in name}

    assert weights == {"awq_marlin", "fp8"}


def test_a_value_that_makes_no_sense_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = profile(tmp_path, "memory_share = 0.9", "memory_share = 1.9")

    assert "own.toml: memory_share: Input should be less" in start_a_worker(name, monkeypatch)


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ('quantization = "awq"', 'quantization = "int7"', "vLLM does not know the quantization"),
        ('"demo-1"', '"nope-9"', "there is no prompt nope-9, only demo-1"),
        ("{instruction}\\n\\n{ticket}", "hello {ticket}", "it has no {instruction}"),
        ('model = "models/demo"', 'model = ""', "model: String should have at least 1"),
    ],
)
def test_a_profile_that_would_not_start_is_found_and_those_after_it_are_checked(
    tmp_path: Path, was: str, now: str, said: str
) -> None:
    own = profile(tmp_path, was, now)

    told = CliRunner().invoke(app, ["profile", "check", own, "demo"])

    assert told.exit_code == 1
    assert said in told.stdout
    assert told.stdout.endswith("✓ demo\n")


def test_a_file_that_is_no_toml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.toml"

    own.write_text("model = = 1")
    assert "own.toml: Invalid value" in start_a_worker(str(own), monkeypatch)
    own.write_bytes(b"model = \xff")
    assert "own.toml: 'utf-8' codec can't" in start_a_worker(str(own), monkeypatch)


def test_a_model_that_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = sized(tmp_path, "nemo-12b", "fp16")

    said = start_a_worker(name, monkeypatch)

    assert "profile own: memory" in said
    assert "take a machine with a GPU" in said


def test_a_missing_checkpoint_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no model .*nowhere here.*hf download"):
        PromptEncoder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", profile_names())
def test_vllm_starts_its_process_anew(name: str) -> None:
    """A forked one cannot use a card once xgrammar has been imported, as it has in a worker."""
    assert environment(load_profile(name))["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"


def test_beside_a_card_torch_computes_with_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that it has otherwise wait without sleeping, on every core."""
    nemo = load_profile("nemo-awq-32k")
    with_more = nemo.model_copy(update={"environment": {"OMP_NUM_THREADS": "4"}})

    def threads(profile: Profile, driver: str) -> str | None:
        monkeypatch.setattr(told, "NVIDIA_DRIVER", tmp_path / driver)
        return environment(profile).get("OMP_NUM_THREADS")

    (tmp_path / "version").touch()
    assert threads(nemo, "version") == "1"
    assert threads(with_more, "version") == "4"
    assert threads(nemo, "nowhere") is None


def test_no_sampler_has_to_be_compiled() -> None:
    """A card may be there without the driver's file, as in WSL."""
    assert environment(load_profile("nemo-awq-32k"))["VLLM_USE_FLASHINFER_SAMPLER"] == "0"


@pytest.mark.parametrize("name", profile_names())
def test_vllm_knows_the_variables_that_are_set_for_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes over a misspelt one with a warning."""
    (tmp_path / "version").touch()
    monkeypatch.setattr(told, "NVIDIA_DRIVER", tmp_path / "version")
    ours = {one for one in environment(load_profile(name)) if one.startswith("VLLM_")}

    assert ours <= vllm.envs.environment_variables.keys()
