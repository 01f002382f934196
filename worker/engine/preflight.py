"""Is all there that a profile needs? Looked at before an engine is started, and before a card is
trusted with tickets (`triage doctor --profile`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.engine.arguments import unknown_arguments
from worker.engine.attention import (
    HOPPER,
    TRITON,
    TRITON_READS_FP8,
    attention_backend,
    has_fp8_cache,
)
from worker.engine.checkpoint import Checkpoint
from worker.engine.machine import CPU_KERNELS, Machine, free_gb, least_capability
from worker.engine.memory import Plan, Precision
from worker.engine.profiles import Profile
from worker.engine.shape import Shape
from worker.errors import SettingsError

if TYPE_CHECKING:
    from worker.engine.tokens import PromptEncoder

LOCKED_VLLM = ("0.32.", "0.33.")
"""The versions in the locks, for CPUs and for cards. The tests run with the first; on a card, so
far, with 0.26 (bench/RESULTS.md)."""

FP8_CAPABILITY = 89
"""From here on (Ada, Hopper) cards calculate in FP8; older ones only keep the weights in it."""

ALLOW_LONG = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"
"""A profile that sets it means a context beyond the model's."""
TOLERANCE_GB = 0.1
"""Builds of one model differ in some tokens that were added."""
PRECISIONS = {None: Precision.FP16, "awq": Precision.AWQ, "fp8": Precision.FP8}
SIXTEEN_BITS = "16 bits"
PROBE = "Meine Bestellung 4711 fehlt. J'attends déjà. 注文が届きません。退款在哪里？ I can't!"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at one thing found; `fix` says what to do, None if nothing has to be done."""

    what: str
    found: str
    fix: str | None = None
    is_warning: bool = False


def refuse_what_cannot_start(profile: Profile, machine: Machine) -> None:
    """Before anything large is downloaded: of a model of the hub `config.json` is enough.

    Raises:
        SettingsError: the profile cannot run on this machine; it says why, and what to change.
    """
    for seen in before_a_start(profile, machine):
        if seen.fix and not seen.is_warning:
            raise SettingsError(f"profile {profile.name}: {seen.what}: {seen.found}; {seen.fix}")


def before_a_start(profile: Profile, machine: Machine) -> Iterator[Seen]:
    yield from of_machine(profile, machine)
    checkpoint = Checkpoint.fetched(profile)
    yield calculation(profile, checkpoint, machine)
    yield context(profile, checkpoint)
    yield from sizes(profile, checkpoint, machine)


def of_machine(profile: Profile, machine: Machine) -> Iterator[Seen]:
    """Hold a profile against vLLM and the card."""
    is_locked = machine.vllm.startswith(LOCKED_VLLM)
    how = "`make test-gpu`" if machine.has_gpu else "`make test`"
    fix = None if is_locked else f"not the one in requirements/: run {how} with it first"
    yield Seen("vLLM", machine.vllm, fix, is_warning=True)
    for name in unknown_arguments(profile):
        yield Seen("vLLM", f"has no argument {name}", "take the vLLM of requirements/")
    yield kernel(profile, machine)
    if machine.has_gpu:
        yield attention(profile, machine)
    if profile.plan:
        yield memory(profile.plan, machine)


def kernel(profile: Profile, machine: Machine) -> Seen:
    wanted = profile.quantization
    if wanted is None:
        return Seen("kernel", f"{machine.device}: 16 bits need none of their own")
    if machine.capability is None:
        fix = None if wanted in CPU_KERNELS else (
            f"a CPU runs {', '.join(CPU_KERNELS)} and 16 bits only: take a machine with a GPU, a "
            "server (TRIAGE_SERVERS), or TRIAGE_PROFILE=demo"
        )  # fmt: skip
        return Seen("kernel", f"{wanted} on a CPU, {machine.device}", fix)
    least = least_capability(wanted)
    if least is None:
        return Seen("kernel", f"vLLM does not know {wanted}", "name another `quantization`")
    if machine.capability < least:
        has = f"{machine.device} has {machine.capability / 10:.1f}"
        return Seen("kernel", f"{wanted} needs compute capability {least / 10:.1f}, {has}",
                    "take a newer card")  # fmt: skip
    slow = wanted == "fp8" and machine.capability < FP8_CAPABILITY
    how = "weights only, calculates in 16 bits" if slow else "has a kernel for this card"
    return Seen("kernel", f"{wanted} on {machine.device}: {how}")


def attention(profile: Profile, machine: Machine) -> Seen:
    taken = attention_backend(profile, machine)
    if taken != TRITON:
        return Seen("attention", taken or "vLLM's own choice")
    found = f"{TRITON}: FlashInfer, which vLLM would take, needs a CUDA toolkit to compile"
    is_read = not has_fp8_cache(profile) or (machine.capability or 0) >= TRITON_READS_FP8
    fix = (
        f"Triton reads no FP8 cache on {machine.device}: install a CUDA toolkit, or take a profile "
        'of your own with kv_cache_dtype = "auto"'
    )
    return Seen("attention", found, None if is_read else fix)


def memory(plan: Plan, machine: Machine) -> Seen:
    usable = machine.memory_gb * plan.share
    found = f"takes {plan.loaded_gb:.1f} GB of {usable:.1f} GB (share {plan.share:g})"
    if not machine.has_gpu:
        return Seen("memory", f"made for a card of {plan.card_gb:g} GB; this machine has none",
                    "take a machine with a GPU, or a server (TRIAGE_SERVERS)")  # fmt: skip
    fix = "see `triage plan` for what fits: a shorter max_model_len, AWQ, or a larger card"
    return Seen("memory", found, fix if plan.loaded_gb > usable else None)


def free_memory(profile: Profile, machine: Machine) -> Seen:
    """vLLM does not start where others have taken what it may use."""
    free, wanted = free_gb(), machine.memory_gb * profile.memory_share
    fix = "end what else runs on the card, or lower memory_share" if free < wanted else None
    return Seen("free memory", f"{free:.1f} GB of the {wanted:.1f} GB that vLLM takes", fix)


def of_checkpoint(
    profile: Profile, checkpoint: Checkpoint, machine: Machine | None
) -> Iterator[Seen]:
    """Hold a profile against the model's own files; `machine`: None if it runs on another."""
    from worker.engine.tokens import PromptEncoder  # noqa: PLC0415  # transformers is slow to import

    yield Seen("checkpoint", str(checkpoint.folder))
    yield quantization(profile, checkpoint)
    if machine:
        yield calculation(profile, checkpoint, machine)
        yield from sizes(profile, checkpoint, machine)
    yield context(profile, checkpoint)
    if checkpoint.window and checkpoint.window < profile.max_model_len:
        yield Seen("sliding window", f"looks back {checkpoint.window:,} tokens only",
                   "this is another model's config.json: take its own")  # fmt: skip
    if profile.plan:
        yield rope(profile.plan, checkpoint)
    try:
        encoder = PromptEncoder(checkpoint.folder, shape=profile.prompt_shape)
    except SettingsError as error:
        yield Seen("chat template", str(error), "take it from the model's own repository")
        return
    yield Seen("chat template", "the model's own")
    yield tokenizer(profile, encoder)


def quantization(profile: Profile, checkpoint: Checkpoint) -> Seen:
    kept, wanted = checkpoint.quantization or SIXTEEN_BITS, profile.kept_as or SIXTEEN_BITS
    if kept == wanted:
        return Seen("weights", f"kept as {kept}")
    if (kept, wanted) == (SIXTEEN_BITS, "fp8"):
        return Seen("weights", "quantized when loaded")
    return Seen("weights", f"kept as {kept}, the profile says {wanted}",
                "take the checkpoint that is quantized so, or change `quantization`")  # fmt: skip


def calculation(profile: Profile, checkpoint: Checkpoint, machine: Machine) -> Seen:
    dtype = str(checkpoint.dtype if profile.dtype == "auto" else profile.dtype)
    found = f"in {dtype}, the cache in {profile.kv_cache_dtype}"
    reads_by_fa3 = has_fp8_cache(profile) and machine.capability in HOPPER  # in BF16 alone
    fix = (
        f'on {machine.device} an FP8 cache needs dtype = "bfloat16": '
        "nemo-awq-32k-hopper, or a profile of your own with it (docs/profiles.md)"
    )
    return Seen("calculation", found, fix if reads_by_fa3 and dtype != "bfloat16" else None)


def context(profile: Profile, checkpoint: Checkpoint) -> Seen:
    used = f"the profile uses {profile.max_model_len:,}"
    if not checkpoint.context:
        return Seen("context", f"config.json names none, {used}")
    found = f"{checkpoint.context:,} tokens, {used}"
    is_short = checkpoint.context < profile.max_model_len
    fix = "lower max_model_len: beyond its context a model writes nonsense" if is_short else None
    may_be_longer = checkpoint.is_stretched or ALLOW_LONG in profile.environment
    return Seen("context", found, fix, is_warning=may_be_longer)


def sizes(profile: Profile, checkpoint: Checkpoint, machine: Machine) -> Iterator[Seen]:
    """Does the model take no more than its `[size]`, by which that was counted? Without one it is
    counted by the model's own sizes.
    """
    try:
        own = Shape.of(checkpoint.config, name=checkpoint.folder.name)
    except SettingsError as error:
        own, why = None, str(error)
    if profile.plan:
        plan = profile.plan
        fix = (
            f"the {plan.shape.name} that [size] names takes {plan.loaded_gb:.1f}: name the model's "
            "own there, or leave [size] out"
        )
        if own is None:
            yield Seen("size", why, fix)
            return
        takes_gb = profile.planned(own, plan.precision, plan.card_gb).loaded_gb
        is_well = takes_gb <= plan.loaded_gb + TOLERANCE_GB
        yield Seen("size", f"takes {takes_gb:.1f} GB", None if is_well else fix)
    elif machine.has_gpu:
        precision = PRECISIONS.get(profile.kept_as)
        if own and precision:
            yield memory(profile.planned(own, precision, machine.memory_gb), machine)
        else:
            found = f"not known for {profile.quantization}" if own else why
            yield Seen("memory", found, "see that vLLM starts with it", is_warning=True)


def rope(plan: Plan, checkpoint: Checkpoint) -> Seen:
    base, wanted = checkpoint.rope_base, plan.shape.rope_base
    fix = f"{plan.shape.name} has {wanted:,.0f}: this config.json is another model's"
    if base is None:
        return Seen("RoPE base", "config.json names none", fix)
    return Seen("RoPE base", f"{base:,.0f}", None if base == wanted else fix)


def tokenizer(profile: Profile, encoder: "PromptEncoder") -> Seen:
    size = encoder.vocabulary_size
    if not (profile.plan and profile.plan.shape.tekken):
        return Seen("tokenizer", f"{size:,} tokens")
    fix = "take tokenizer.json from the model's own repository: others split words differently"
    is_tekken = encoder.encode_text(PROBE) == tekken_ids(PROBE)
    found = "Tekken" if is_tekken else "not Tekken"
    return Seen("tokenizer", f"{found}, {size:,} tokens", None if is_tekken else fix)


def tekken_ids(text: str) -> list[int]:
    """What Mistral's own Tekken makes of a text."""
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer  # noqa: PLC0415

    own = MistralTokenizer.v3(is_tekken=True).instruct_tokenizer.tokenizer
    return list(own.encode(text, bos=False, eos=False))
