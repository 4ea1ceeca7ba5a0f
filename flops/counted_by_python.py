"""Floating-point operations of one forward and backward, by PyTorch's own counter.

    python counted_by_python.py MODEL...       prints {MODEL: operations}

On two images of 3 x 32 x 32, or two sequences of 24 of 100 tokens. For tests alone.
"""

import json
import os
import sys

sys.path.insert(0, os.environ["LOCKSTEP_SOURCE"] + "/bench/peers")
import torch
from torch.utils import flop_counter

from networks import MODELS, Inputs

# It knows CUDA's attention and not the CPU's, which computes the same.
cpu = "_scaled_dot_product_flash_attention_for_cpu"
for operator, flops in (
    (cpu, flop_counter.sdpa_flop),
    (cpu + "_backward", flop_counter.sdpa_backward_flop),
):
    # Raw: these look at shapes already.
    register = flop_counter.register_flop_formula(getattr(torch.ops.aten, operator), get_raw=True)
    register(flops)


def counted(name):
    inputs = Inputs(channels=3, height=32, width=32, vocabulary=100, length=24)
    model = MODELS[name](inputs)
    if name.startswith("transformer"):
        batch = torch.randint(100, (2, 24))
    else:
        batch = torch.rand(2, 3, 32, 32)
    with flop_counter.FlopCounterMode(display=False) as counter:
        model(batch).sum().backward()
    return counter.get_total_flops()


print(json.dumps({name: counted(name) for name in sys.argv[1:]}))
