"""What train.py does otherwise on CUDA than on the CPU: which device is whose, how ranks meet, what
time it is and how much memory was taken. Of options only those that say so."""

import os
import time

import torch
import torch.distributed as dist


def card_of(options):
    """The device of this process; LOCAL_RANK is torchrun's, ranks that share a card follow."""
    if options.device == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) // options.ranks_per_gpu)


def meet(options, device, rank):
    """Joins the process group, as training/process_groups.cpp does."""
    if device.type == "cpu":
        dist.init_process_group("gloo")
        return
    if options.ranks_per_gpu > 1:
        # NCCL takes two ranks on one card for a mistake unless they claim different hosts.
        os.environ.setdefault("NCCL_HOSTID", f"lockstep-{rank}")
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        os.environ.setdefault("NCCL_SOCKET_IFNAME", "=lo")
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", device_id=device)


class Clock:
    """Moments between steps. On CUDA events, read when all is over: the card is not waited for."""

    def __init__(self, device):
        self.cuda = device.type == "cuda"

    def now(self):
        if not self.cuda:
            return time.perf_counter()
        moment = torch.cuda.Event(enable_timing=True)
        moment.record()
        return moment

    def ms(self, spans):
        if not self.cuda:
            return [1000 * (end - begin) for begin, end in spans]
        torch.cuda.synchronize()
        return [begin.elapsed_time(end) for begin, end in spans]


def cards_of(options, device):
    return range(options.data_parallel) if options.data_parallel else [device]


def gathered(values, device, world_size):
    """Every rank's values, on every rank."""
    mine = torch.tensor(values, dtype=torch.double, device=device)
    of_ranks = [torch.empty_like(mine) for _ in range(world_size)]
    dist.all_gather(of_ranks, mine)
    return [values.tolist() for values in of_ranks]


def peaks(options, device):
    """Of each card of this process: the caching allocator's peaks, allocated and reserved."""
    if device.type == "cpu":
        return []
    return [
        [torch.cuda.max_memory_allocated(card), torch.cuda.max_memory_reserved(card)]
        for card in cards_of(options, device)
    ]
