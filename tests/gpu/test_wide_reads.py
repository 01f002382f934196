"""vLLM's log-probabilities with wider pieces: the same, and sooner."""

from collections.abc import Callable

import pytest

from worker.engine.wide_reads import Wide, read_wide

pytestmark = [pytest.mark.usefixtures("card"), pytest.mark.filterwarnings("ignore")]

ROWS, VOCABULARY, ALTERNATIVES = 16, 131_072, 10
TIMES = 20


def milliseconds(work: Callable[[], object]) -> float:
    """What the card takes for it, without what the processor takes to start it."""
    import torch  # noqa: PLC0415

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(TIMES):
            work()
    graph.replay()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    graph.replay()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) / TIMES


def test_they_are_the_same_and_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch  # noqa: PLC0415
    from vllm.v1.worker.gpu.sample import logprob  # noqa: PLC0415

    torch.manual_seed(0)
    logits = torch.randn(ROWS, VOCABULARY, device="cuda", dtype=torch.bfloat16)
    logits[:, 100:-100] = float("-inf")  # as a grammar leaves them
    ids = logits.topk(ALTERNATIVES, dim=-1).indices
    read_wide()
    wide = logprob._topk_log_softmax_kernel
    assert isinstance(wide, Wide)

    told = logprob.compute_token_logprobs(logits, ids)
    soon = milliseconds(lambda: logprob.compute_token_logprobs(logits, ids))
    monkeypatch.setattr(logprob, "_topk_log_softmax_kernel", wide._kernel)
    logprob.compute_token_logprobs(logits, ids)  # compiles it
    late = milliseconds(lambda: logprob.compute_token_logprobs(logits, ids))

    expected = torch.log_softmax(logits.float(), dim=-1).gather(-1, ids)
    assert torch.allclose(told, expected, atol=1e-4)
    assert soon < late / 2
