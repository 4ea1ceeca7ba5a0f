"""Several runs of the Python peer by one start of it, which takes seconds. For tests alone.

    python train_all.py FILE LINE...       each LINE a command line of bench/peers/train.py

Writes {LINE: losses} to FILE. Under torchrun the losses are means over the ranks, as train.py's
own main() has them, and rank 0 writes.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, os.environ["LOCKSTEP_SOURCE"] + "/bench/peers")
import torch
import torch.distributed as dist

import train

read = train.datasets.load
known = {}


def load_once(dataset, data_dir, inputs, dtype):
    key = (dataset, data_dir, str(inputs), dtype)
    if key not in known:
        known[key] = read(dataset, data_dir, inputs, dtype)
    return known[key]


def losses_of(line, rank, world_size):
    sys.argv[1:] = line.split()
    options = train.parse_options()
    torch.set_num_threads(options.threads)
    losses = train.train(options, rank, world_size, world_size > 1)[0]
    if world_size > 1:
        dist.all_reduce(losses)
        losses /= world_size
    return losses.tolist()


def main():
    train.datasets.load = load_once
    file, lines = Path(sys.argv[1]), sys.argv[2:]
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if world_size > 1:
        dist.init_process_group("gloo")
    losses = {line: losses_of(line, rank, world_size) for line in lines}
    if rank == 0:
        file.write_text(json.dumps(losses))
    if world_size > 1:
        dist.destroy_process_group()
        os._exit(0)  # why: at the end of train.py


if __name__ == "__main__":
    main()
