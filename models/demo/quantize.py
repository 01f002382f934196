"""Quantizes the trained demonstration model to AWQ INT4 (groups of 128), as vLLM loads it.

Activation-aware: for each group of linear layers that share an input, the scale of every input
channel is searched so that the layer's output on real tickets changes least, and divided out of
the layer before. Where training has already fitted the weights to the INT4 grid, the search
finds that no scaling is best, and says so.

    python -m models.demo.quantize TRAINED_DIRECTORY OUTPUT_DIRECTORY
"""

import json
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, MistralForCausalLM
from transformers.models.mistral.modeling_mistral import MistralDecoderLayer

from models.demo.prompt import example_prompt
from models.demo.rounding import GROUP, rounded, to_levels
from models.demo.tickets import examples
from schemas.reply import canonical_json
from worker.engine.tokens import PromptEncoder

CALIBRATION_TICKETS = 64
EXPONENTS = tuple(step / 20 for step in range(21))
PACK_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Where vLLM's AWQ kernels expect the eight INT4 values of one int32."""


def main(trained: Path, output: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(trained, dtype=torch.float32)
    inputs = calibration_inputs(model, PromptEncoder(trained))
    for number, layer in enumerate(model.model.layers):
        scale_layer(layer, number, inputs)
    save(model, trained, output)


def calibration_inputs(
    model: MistralForCausalLM, encoder: PromptEncoder
) -> dict[torch.nn.Module, torch.Tensor]:
    """What each linear layer reads on a few tickets: (tokens, inputs)."""
    seen: dict[torch.nn.Module, list[torch.Tensor]] = {}
    linears = [m for m in model.model.layers.modules() if isinstance(m, torch.nn.Linear)]
    hooks = [
        linear.register_forward_pre_hook(
            lambda module, arguments: seen.setdefault(module, []).append(arguments[0][0].detach())
        )
        for linear in linears
    ]
    with torch.no_grad():
        for example in islice(examples("train", seed=99), CALIBRATION_TICKETS):
            ids = encoder.encode(example_prompt(example))
            ids += encoder.encode_text(canonical_json(example.label))
            model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return {linear: torch.cat(parts) for linear, parts in seen.items()}


def scale_layer(
    layer: MistralDecoderLayer, number: int, inputs: dict[torch.nn.Module, torch.Tensor]
) -> None:
    attention, mlp = layer.self_attn, layer.mlp
    for before, linears in (
        (layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj]),
        (layer.post_attention_layernorm, [mlp.gate_proj, mlp.up_proj]),
        (mlp.up_proj, [mlp.down_proj]),
    ):
        exponent, scale = best_scale(linears, inputs[linears[0]])
        print(f"layer {number}, {len(linears)} matrices: exponent {exponent:.2f}")
        for linear in linears:
            linear.weight.data *= scale
        before.weight.data /= scale if before.weight.dim() == 1 else scale[:, None]


def best_scale(linears: list[torch.nn.Linear], read: torch.Tensor) -> tuple[float, torch.Tensor]:
    """The exponent and the channel scales (inputs,) that change the layers' outputs least."""
    size = read.abs().mean(0).clamp(min=1e-4)

    def scale(exponent: float) -> torch.Tensor:
        raised = size**exponent
        return raised / (raised.max() * raised.min()).sqrt()

    def change(exponent: float) -> float:
        channel = scale(exponent)
        return sum(
            ((rounded(one.weight * channel) / channel - one.weight) @ read.T).square().mean().item()
            for one in linears
        )

    with torch.no_grad():
        exponent = min(EXPONENTS, key=change)
    return exponent, scale(exponent)


def save(model: MistralForCausalLM, trained: Path, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    tensors = dict(tensors_of(model))
    save_file(tensors, output / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((trained / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "awq",
        "bits": 4,
        "group_size": GROUP,
        "zero_point": True,
        "version": "gemm",
    }
    config["dtype"] = "float16"
    (output / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (trained / name).resolve() != (output / name).resolve():
            shutil.copy(trained / name, output / name)


def tensors_of(model: MistralForCausalLM) -> Iterator[tuple[str, torch.Tensor]]:
    quantized = {
        name for name, m in model.model.layers.named_modules() if isinstance(m, torch.nn.Linear)
    }
    for name, parameter in model.state_dict().items():
        inside = name.removeprefix("model.layers.").removesuffix(".weight")
        if name == "lm_head.weight":
            continue  # tied to the embedding
        if inside in quantized and name.startswith("model.layers."):
            stem = name.removesuffix(".weight")
            for part, tensor in packed(parameter).items():
                yield f"{stem}.{part}", tensor
        else:
            yield name, parameter.half().contiguous()


def packed(weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """One matrix (outputs, inputs) as AWQ stores it, transposed: inputs first."""
    levels, scale, zero = to_levels(weight)
    return {
        "qweight": eight_in_one(levels.T),
        "qzeros": eight_in_one(zero.squeeze(-1).T),
        "scales": scale.squeeze(-1).T.half().contiguous(),
    }


def eight_in_one(levels: torch.Tensor) -> torch.Tensor:
    """(rows, columns) of whole numbers 0–15 as (rows, columns / 8) of int32."""
    by_eight = levels.to(torch.int64).reshape(levels.shape[0], -1, 8)
    total = sum(by_eight[:, :, place] << (4 * turn) for turn, place in enumerate(PACK_ORDER))
    assert isinstance(total, torch.Tensor)
    return torch.where(total >= 2**31, total - 2**32, total).to(torch.int32).contiguous()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
