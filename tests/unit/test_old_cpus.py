"""INT4 weights on CPUs for which vLLM has no kernel."""

import os
from importlib.metadata import entry_points

import pytest
import torch

from worker.engine import old_cpus

pytestmark = pytest.mark.filterwarnings("ignore")  # torch and vLLM warn while they are imported

INPUTS, OUTPUTS, GROUP = 256, 64, 128


class Layer(torch.nn.Module):
    """Random INT4 weights as vLLM hands them to a kernel, and the same weights plainly."""

    def __init__(self) -> None:
        from vllm.model_executor.layers.quantization.utils.quant_utils import (  # noqa: PLC0415
            pack_quantized_values_into_int32 as pack,
        )
        from vllm.scalar_type import scalar_types  # noqa: PLC0415

        super().__init__()
        torch.manual_seed(4)
        levels = torch.randint(0, 16, (INPUTS, OUTPUTS), dtype=torch.int32)
        zeros = torch.randint(0, 16, (INPUTS // GROUP, OUTPUTS), dtype=torch.int32)
        scales = torch.rand(INPUTS // GROUP, OUTPUTS)
        group = torch.arange(INPUTS) // GROUP
        self.plain = ((levels - zeros[group]) * scales[group]).T
        for name, tensor, places in (
            ("qweight", pack(levels, scalar_types.uint4, 0), {"input_dim": 0, "packed_dim": 0}),
            ("scales", scales, {"output_dim": 1}),
            ("qzeros", pack(zeros, scalar_types.uint4, 1), {"output_dim": 1, "packed_dim": 1}),
        ):
            parameter = torch.nn.Parameter(tensor, requires_grad=False)
            vars(parameter).update(places)
            self.register_parameter(name, parameter)


@pytest.mark.parametrize("bias", [None, torch.ones(OUTPUTS, dtype=torch.bfloat16)])
def test_unpacked_weights_multiply_as_the_quantized_ones(bias: torch.Tensor | None) -> None:
    from vllm.model_executor.kernels.linear import MPLinearLayerConfig  # noqa: PLC0415
    from vllm.scalar_type import scalar_types  # noqa: PLC0415

    from worker.engine.unpacked import UnpackedLinearKernel  # noqa: PLC0415

    layer, tokens = Layer(), torch.randn(5, INPUTS, dtype=torch.bfloat16)
    kernel = UnpackedLinearKernel(
        MPLinearLayerConfig(
            full_weight_shape=(INPUTS, OUTPUTS),
            partition_weight_shape=(INPUTS, OUTPUTS),
            weight_type=scalar_types.uint4,
            act_type=torch.bfloat16,
            group_size=GROUP,
            zero_points=True,
        ),
        "qweight",
        "scales",
        "qzeros",
    )

    kernel.process_weights_after_loading(layer)
    found = kernel.apply_weights(layer, tokens, bias)

    expected = tokens.float() @ layer.plain.T + (0 if bias is None else bias.float())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected.bfloat16())


@pytest.mark.parametrize(("has_avx512", "times"), [(True, 0), (False, 1)])
def test_the_kernel_is_brought_only_where_vllm_has_none(
    monkeypatch: pytest.MonkeyPatch, has_avx512: bool, times: int
) -> None:
    from vllm.model_executor.kernels import linear  # noqa: PLC0415

    brought: list[object] = []
    monkeypatch.setattr(linear, "register_linear_kernel", lambda *args: brought.append(args))
    monkeypatch.setattr(old_cpus, "has_avx512", lambda: has_avx512)
    monkeypatch.setenv("VLLM_DISABLED_KERNELS", "Other")

    old_cpus.bring_kernel()

    assert len(brought) == times
    disabled = "Other" + ",CPUWNA16LinearKernel" * times
    assert os.environ["VLLM_DISABLED_KERNELS"] == disabled


def test_vllm_is_told_of_it() -> None:
    found = entry_points(group="vllm.general_plugins", name="bring_int4_kernel")

    assert [one.load() for one in found] == [old_cpus.bring_kernel]
