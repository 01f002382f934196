"""The images, compose files and Kubernetes manifests: valid, and safe to run."""

import json
import os
import re
import shlex
import subprocess
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.conftest import REPOSITORY
from worker.settings import Settings

DOCKER = REPOSITORY / "docker"
KUBERNETES = DOCKER / "kubernetes"
OURS = ("migrate", "gateway", "sweep", "writeback", "worker")
COMPOSE_SCHEMA = json.loads(
    files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text()
)
SCALED_OBJECT = json.loads((Path(__file__).parent / "keda.schema.json").read_text())

Document = dict[str, Any]


def compose(name: str = "compose.yaml") -> Document:
    found: Document = yaml.safe_load((DOCKER / name).read_text())
    return found


def manifests() -> list[Document]:
    return [
        document
        for path in sorted(KUBERNETES.glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text())
    ]


def named(kind: str, name: str) -> Document:
    [found] = [one for one in manifests() if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pods() -> list[tuple[str, Document]]:
    return [
        (one["metadata"]["name"], one["spec"]["template"]["spec"])
        for one in manifests()
        if one["kind"] in {"Deployment", "Job"}
    ]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_a_compose_file_is_valid(name: str) -> None:
    jsonschema.validate(compose(name), COMPOSE_SCHEMA)


def test_the_schema_of_compose_files_finds_what_is_wrong() -> None:
    wrong = compose()
    wrong["services"]["gateway"]["red_only"] = True

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, COMPOSE_SCHEMA)


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_runs_without_rights(name: str) -> None:
    service = compose()["services"][name]

    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_log_fills_the_disk() -> None:
    for service in compose()["services"].values():
        if service.get("restart") == "unless-stopped":
            assert service["logging"]["options"]["max-file"] == "5"


def test_a_worker_has_time_to_finish_what_it_works_on() -> None:
    drain_s = Settings.model_fields["drain_s"].default
    grace_s = float(compose()["services"]["worker"]["stop_grace_period"].removesuffix("s"))
    pod = named("Deployment", "worker")["spec"]["template"]["spec"]

    assert grace_s >= drain_s + 10
    assert pod["terminationGracePeriodSeconds"] >= drain_s + 10


def test_a_new_person_is_asked_for_every_variable_that_compose_needs() -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", (DOCKER / "compose.yaml").read_text()))
    example = (DOCKER / "env.example").read_text()

    assert needed <= set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_every_file_that_is_mounted_is_there() -> None:
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith(".") or (DOCKER / source).is_dir()


def settings_in(text: str) -> set[str]:
    return set(re.findall(r"\b(TRIAGE_[A-Z_]*[A-Z])\b(?!_\*)", text))


@pytest.mark.parametrize(
    "path",
    [
        *DOCKER.glob("*.yaml"),
        *DOCKER.glob("*.Dockerfile"),
        *KUBERNETES.glob("*.yaml"),
        DOCKER / "env.example",
    ],
    ids=lambda path: path.name,
)
def test_every_setting_that_is_set_exists(path: Path) -> None:
    known = {f"TRIAGE_{name.upper()}" for name in Settings.model_fields}
    others = {"TRIAGE_KIND", "TRIAGE_PUBLISH"}  # of compose itself

    for name in settings_in(path.read_text()) - others:
        if not name.startswith("TRIAGE_OPS_DATABASE_"):  # Grafana's
            assert name.split("__")[0] in known


@pytest.mark.parametrize(
    "document", manifests(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}"
)
def test_a_manifest_is_valid(document: Document) -> None:
    if "keda.sh" in document["apiVersion"]:
        jsonschema.validate(document, SCALED_OBJECT)
    else:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_list_of_manifests_is_complete() -> None:
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    there = {path.name for path in KUBERNETES.glob("*.yaml")}

    assert set(listed) == there - {"kustomization.yaml", "secrets.example.yaml"}


@pytest.mark.parametrize(("name", "pod"), pods(), ids=[name for name, _ in pods()])
def test_a_pod_meets_the_restricted_standard(name: str, pod: Document) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        rights = container["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_what_serves_has_probes_and_a_disruption_budget(name: str) -> None:
    deployment = named("Deployment", name)
    budget = named("PodDisruptionBudget", name)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert {"startupProbe", "readinessProbe"} <= container.keys()
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("name", ["gateway", "sweep", "writeback"])
def test_what_goes_round_and_hangs_is_started_again(name: str) -> None:
    [container] = named("Deployment", name)["spec"]["template"]["spec"]["containers"]

    assert {"startupProbe", "livenessProbe"} <= container.keys()


@pytest.mark.parametrize("name", ["sweep", "writeback"])
def test_a_file_that_nobody_touched_for_minutes_fails_the_probe(name: str, tmp_path: Path) -> None:
    [container] = named("Deployment", name)["spec"]["template"]["spec"]["containers"]
    [alive] = [one["value"] for one in container["env"] if one["name"] == "TRIAGE_ALIVE_FILE"]
    probe: list[str] = container["livenessProbe"]["exec"]["command"]
    file = tmp_path / "alive"

    def is_alive() -> bool:
        command = [word.replace(alive, str(file)) for word in probe]
        return subprocess.run(command, check=False).returncode == 0

    file.touch()
    assert is_alive()
    os.utime(file, (time.time() - 300,) * 2)
    assert not is_alive()


def test_only_the_gateway_has_the_gateways_secrets() -> None:
    having = [
        name
        for name, pod in pods()
        for source in pod["containers"][0]["envFrom"]
        if source.get("secretRef", {}).get("name") == "triage-gateway"
    ]

    assert having == ["gateway"]


def test_every_secret_and_volume_that_a_pod_names_is_declared() -> None:
    declared = {
        one["metadata"]["name"] for one in manifests() if one["kind"] in {"Secret", "ConfigMap"}
    }

    for _, pod in pods():
        for source in pod["containers"][0]["envFrom"]:
            assert next(iter(source.values()))["name"] in declared
        for mount in pod["containers"][0].get("volumeMounts", []):
            assert mount["name"] in {one["name"] for one in pod["volumes"]}


def commands() -> list[list[str]]:
    """Every command that an image is started with."""
    from_compose = [
        one.get("command", []) for name, one in compose()["services"].items() if name in OURS
    ]
    from_pods = [pod["containers"][0]["args"] for _, pod in pods()]
    from_images = [
        json.loads(found)
        for path in DOCKER.glob("*.Dockerfile")
        for found in re.findall(r"^CMD (.*)$", path.read_text(), re.MULTILINE)
    ]
    return [one for one in (*from_compose, *from_pods, *from_images) if one]


@pytest.mark.parametrize("command", commands(), ids=shlex.join)
def test_an_image_is_started_with_a_command_that_exists(command: list[str]) -> None:
    from typer.testing import CliRunner  # noqa: PLC0415

    from worker.cli.main import app  # noqa: PLC0415

    found = CliRunner().invoke(app, [*command, "--help"])

    assert found.exit_code == 0, found.output


@pytest.mark.parametrize("path", list(DOCKER.glob("*.Dockerfile")), ids=lambda path: path.name)
def test_an_image_copies_what_is_there_and_runs_as_nobody(path: Path) -> None:
    text = path.read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)

    for source in " ".join(copied).split():
        assert (REPOSITORY / source).exists()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "10001"


def test_the_gateways_image_has_neither_an_engine_nor_cuda() -> None:
    lock = (REPOSITORY / "requirements/gateway.txt").read_text()
    names = set(re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE))

    assert not [
        name for name in names if re.match(r"torch|vllm|nvidia|cuda|transformers|xgrammar", name)
    ]
    assert {"celery", "fastapi", "sqlalchemy", "psycopg-binary"} <= names
