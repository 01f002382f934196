"""A linear layer whose INT4 weights are unpacked when it is loaded, in vLLM's interface."""

import torch
from vllm.model_executor.kernels.linear import CPUWNA16LinearKernel
from vllm.model_executor.layers.quantization.utils.quant_utils import (
    unpack_quantized_values_into_int32 as unpack,
)


class UnpackedLinearKernel(CPUWNA16LinearKernel):
    """Reads the same checkpoints as vLLM's kernel for INT4 on a CPU, and needs no operator of its
    own: weights (outputs, inputs) in 32 bits, which every CPU multiplies fast.
    """

    def _process_gptq_weights_w4a16(self, layer: torch.nn.Module) -> None:
        packed, scales, packed_zeros = self._get_weight_params(layer)
        assert packed_zeros is not None  # AWQ has them
        levels = unpack(packed, self.config.weight_type, 0)
        zeros = unpack(packed_zeros, self.config.weight_type, 1)
        group = levels.shape[0] // scales.shape[0]
        shifted = levels - zeros.repeat_interleave(group, dim=0)
        weight = shifted.float() * scales.float().repeat_interleave(group, dim=0)
        layer.unpacked = weight.t().contiguous()

    _process_gptq_weights_w4a8 = _process_gptq_weights_w4a16
    """What vLLM asks for instead where a CPU multiplies bytes fast (AMX, RISC-V)."""

    def apply_weights(
        self, layer: torch.nn.Module, x: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        assert isinstance(layer.unpacked, torch.Tensor)
        wide = None if bias is None else bias.float()
        return torch.nn.functional.linear(x.float(), layer.unpacked, wide).to(x.dtype)
