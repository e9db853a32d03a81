"""Promises: torch.compile traces every network into one graph, and what it traces has the same values."""

import pytest
import torch

from fedvsr_core.components import build
from server_app.config import compose, options

TINY = {
    "recurrent": "model.width=4 model.blocks=1",
    "causal": "model.width=4 model.blocks=1",
    "basicvsr_small": "model.num_feat=4 model.num_block=1",
    "basicvsrpp_small": "model.mid_channels=8 model.num_blocks=1",
    "iart_small": "model.depths=[2,2] model.num_heads=[2,2]",
    "vrt_small": "",
    "rvrt_small": "model.num_blocks=[1,1,1]",
}
QUICK = ("recurrent", "causal", "basicvsr_small")


def test_no_network_is_left_out():
    families = {name.removesuffix("_16").removesuffix("_small") for name in options("model")}
    assert families == {name.removesuffix("_small") for name in TINY}


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointed"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in TINY]
)
def test_one_graph(name, checkpointing):
    torch.manual_seed(0)
    network = build(compose({"model": name, "overrides": TINY[name]}).model).eval()
    network.checkpointing = checkpointing
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(network, backend="eager")
    low = torch.rand(1, 3, 3, 8, 8)
    torch.testing.assert_close(compiled(low), network(low), rtol=1e-5, atol=1e-6)
    counters = torch._dynamo.utils.counters
    assert counters["graph_break"] == {}
    assert counters["stats"]["unique_graphs"] == 1


def test_a_break_would_be_counted():
    def broken(x):
        x = x + 1
        torch._dynamo.graph_break()
        return x * 2

    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    torch.compile(broken, backend="eager")(torch.ones(1))
    assert sum(torch._dynamo.utils.counters["graph_break"].values()) == 1
