"""The Python peer under PyTorch's own powerSGD_hook. For tests alone.

    torchrun ... power_sgd_peer.py RANK START [bench/peers/train.py's options]

Q begins with the numbers that our hook begins with: each compressed parameter draws its own from a
generator of the next seed, where PyTorch draws those of a bucket from one, seeded by NumPy's.

For models of one bucket: over gloo the hook's callbacks wait for collectives on the threads that
would have to run them, and with two buckets nothing is left to run them (PyTorch 2.11).
"""

import os
import sys
from itertools import count

sys.path.insert(0, os.environ["LOCKSTEP_SOURCE"] + "/bench/peers")
import torch
from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook as power_sgd
from torch.nn.parallel import DistributedDataParallel

import train

RANK, START = int(sys.argv.pop(1)), int(sys.argv.pop(1))

randn = torch.randn
seeds = count(0)


def drawn(*shape, device, dtype):
    generator = torch.Generator(device).manual_seed(next(seeds))
    return randn(*shape, generator=generator, device=device, dtype=dtype)


def hook(state, bucket):
    assert bucket.is_last() and bucket.index() == 0, "one bucket"
    torch.randn = drawn
    try:
        return power_sgd.powerSGD_hook(state, bucket)
    finally:
        torch.randn = randn


class Hooked(DistributedDataParallel):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        state = power_sgd.PowerSGDState(
            None, matrix_approximation_rank=RANK, start_powerSGD_iter=START
        )
        self.register_comm_hook(state, hook)


if __name__ == "__main__":
    train.DistributedDataParallel = Hooked
    train.main()
