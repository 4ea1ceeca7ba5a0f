"""The same training loop as single_gpu/train.cpp and ddp/train.cpp, in plain Python PyTorch.

    python bench/peers/train.py --model mlp --steps 100                    one process
    python -m torch.distributed.run --standalone --nproc-per-node 2 \\
        bench/peers/train.py --model mlp --steps 100                       DistributedDataParallel

    python bench/peers/train.py --model mlp --steps 100 --data-parallel 2  nn.DataParallel, CUDA

Same options, same samples in the same order, same initial parameters, so the losses are the
same, digit by digit; and the step times are what ours are measured against (`bench --peers
python`). It is deliberately quick: normalised images in memory and no DataLoader before them,
gradients that are views of the buckets, no print and no .item() within a step. The networks are
in networks.py, the data in datasets.py.
"""

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data.distributed import DistributedSampler

import datasets
from networks import MODELS, Inputs


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="mlp")
    parser.add_argument("--dataset", choices=datasets.DATASETS, help="default: the model's")
    parser.add_argument("--data-dir", default="", help="folder of its files, or a text")
    parser.add_argument("--vocab-size", type=int, default=50257, help="of tokens")
    parser.add_argument("--batch-size", type=int, default=64, help="per process")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--precision", choices=("fp32", "fp64"), default="fp32")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--data-parallel", type=int, default=0, help="so many CUDA cards")
    parser.add_argument("--drop-last", action="store_true", help="no last, incomplete batch")
    parser.add_argument("--bucket-cap-mb", type=float, default=25, help="of the gradients")
    parser.add_argument("--metrics-file", type=Path, help="JSON lines, one a step")
    parser.add_argument("--report-file", type=Path, help="as the programs write it, for bench")
    parser.add_argument("--dry-run", action="store_true", help="look at the options, no more")
    options = parser.parse_args()
    if options.dataset is None:
        of_tokens = options.model.startswith("transformer")
        options.dataset = "tokens" if of_tokens else "fashion-mnist"
    return options


def inputs_of(options):
    inputs = Inputs(vocabulary=options.vocab_size)
    if options.dataset == "cifar10":
        inputs.channels, inputs.height, inputs.width = 3, 32, 32
    return inputs


def train(options, rank, world_size, distributed):
    """Returns the losses of this rank's batches, and for each step epoch, samples and ms."""
    dtype = torch.float64 if options.precision == "fp64" else torch.float32
    torch.manual_seed(options.seed)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    inputs = inputs_of(options)
    cards = options.data_parallel
    device = torch.device("cuda:0" if cards else "cpu")
    model = MODELS[options.model](inputs).to(device, dtype).to(memory_format=layout)
    if cards:
        model = nn.DataParallel(model, device_ids=list(range(cards)))
    if distributed:
        model = DistributedDataParallel(
            model, bucket_cap_mb=options.bucket_cap_mb, gradient_as_bucket_view=True
        )
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), options.lr, options.momentum)

    images, labels = datasets.load(options.dataset, options.data_dir, inputs, dtype)
    if images.dim() == 4:
        images = images.contiguous(memory_format=layout)
    # With one process it is torch.randperm's order itself.
    sampler = DistributedSampler(
        labels, world_size, rank, shuffle=True, seed=options.seed, drop_last=options.drop_last
    )

    # DataParallel takes the whole batch and cuts it.
    batch_size = options.batch_size * max(1, cards)
    losses, epochs, samples, step_ms = [], [], [], []
    epoch = 0
    while len(losses) < options.steps:
        sampler.set_epoch(epoch)
        batches = torch.tensor(list(sampler)).split(batch_size)
        if options.drop_last and len(batches[-1]) < batch_size:
            batches = batches[:-1]
        for batch in batches:
            start = time.perf_counter()
            optimizer.zero_grad()
            logits = model(images[batch].to(device))
            loss = criterion(logits.flatten(0, -2), labels[batch].to(device).flatten())
            loss.backward()
            optimizer.step()
            if cards:
                torch.cuda.synchronize()
            step_ms.append(1000 * (time.perf_counter() - start))
            losses.append(loss.detach())
            epochs.append(epoch)
            samples.append(len(batch) * world_size)
            if len(losses) == options.steps:
                break
        epoch += 1
    return torch.stack(losses).double().cpu(), epochs, samples, step_ms


def slowest(step_ms, world_size):
    """The step times of the rank that took longest, as they count in ours; on every rank."""
    of_ranks = [torch.empty(len(step_ms), dtype=torch.double) for _ in range(world_size)]
    dist.all_gather(of_ranks, torch.tensor(step_ms, dtype=torch.double))
    return max(of_ranks, key=lambda times: times.sum()).tolist()


def report(options, losses, epochs, samples, step_ms):
    """What training/report.h writes, so far as it is known here: no phases, no ledger."""
    return {
        "epochs": epochs,
        "losses": losses,
        "samples": samples,
        "step_ms": step_ms,
        "phases_ms": {},
        "cards": [],
        "threads_per_card": options.threads,
        "device": "cuda" if options.data_parallel else "cpu",
        "device_name": torch.cuda.get_device_name() if options.data_parallel else "",
        "rss_peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "correct": 0,
        "evaluated": 0,
    }


def main():
    options = parse_options()
    if options.data_parallel > torch.cuda.device_count():
        sys.exit(
            f"train.py: --data-parallel {options.data_parallel}: this machine offers "
            f"{torch.cuda.device_count()} CUDA devices; nn.DataParallel splits over these alone"
        )
    if options.dry_run:
        return
    torch.set_num_threads(options.threads)
    # torchrun says by the environment who this process is.
    distributed = "RANK" in os.environ
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if distributed:
        dist.init_process_group("gloo")

    losses, epochs, samples, step_ms = train(options, rank, world_size, distributed)

    if distributed:
        # Once, after training: every rank has as many samples, so the mean of means is the
        # mean over the global batch.
        dist.all_reduce(losses)
        losses /= world_size
        step_ms = slowest(step_ms, world_size)
        dist.destroy_process_group()
    losses = losses.tolist()
    if rank == 0 and options.report_file:
        text = json.dumps(report(options, losses, epochs, samples, step_ms))
        options.report_file.write_text(text + "\n")
    elif rank == 0:
        out = options.metrics_file.open("w") if options.metrics_file else sys.stdout
        for step, (loss, size, ms) in enumerate(zip(losses, samples, step_ms)):
            line = {"step": step, "loss": loss, "samples": size, "step_ms": ms}
            print(json.dumps(line), file=out)
        out.flush()
    if distributed:
        # Everything is written. Left to end by itself, a process now and then aborts in its
        # last moments ("terminate called without an active exception"): a thread of the
        # process group that the interpreter's end overtakes.
        os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError) as error:
        sys.exit(f"train.py: {str(error).splitlines()[0]}")
