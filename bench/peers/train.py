"""The same training loop as single_gpu/train.cpp and ddp/train.cpp, in plain Python PyTorch.

    python bench/peers/train.py --model mlp --steps 100                    one process
    python -m torch.distributed.run --standalone --nproc-per-node 2 \\
        bench/peers/train.py --model mlp --steps 100                       DistributedDataParallel

    python bench/peers/train.py --model mlp --steps 100 --data-parallel 2  nn.DataParallel, CUDA
    python bench/peers/train.py --model mlp --steps 100 --compile          torch.compile(model)

Same options, same samples in the same order, same initial parameters, so the losses are the
same, digit by digit; and the step times are what ours are measured against (`bench --peers
python`). It is deliberately quick: normalised images in memory and no DataLoader before them,
gradients that are views of the buckets, no print and no .item() within a step. The networks are
in networks.py, the data in datasets.py, what is a device's in cards.py.
"""

import argparse
import json
import os
import resource
import sys
from contextlib import nullcontext
from pathlib import Path

if "--compile" in sys.argv:
    # Before torch is loaded. Kept, so that a network is compiled once and not in every run of a
    # bench: and outside the folder of temporary files, where it would be left behind.
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(caches / "lockstep" / "inductor"))

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data.distributed import DistributedSampler

import datasets
from cards import Clock, card_of, cards_of, gathered, meet, peaks
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
    parser.add_argument("--precision", choices=("fp32", "fp64", "tf32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--ranks-per-gpu", type=int, default=1, help="that share a CUDA card")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--compile", action="store_true", help="by torch.compile")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--cudnn-benchmark", action="store_true")
    parser.add_argument("--pin-memory", action="store_true", help="batches, for CUDA cards")
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
    if options.data_parallel:
        options.device = "cuda"
    return options


def check(options):
    """Ends the program where this machine, or the rest of the options, is not for these."""
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    wanted = options.data_parallel or -(-ranks // options.ranks_per_gpu)
    if options.device == "cuda" and cards < wanted:
        asked = f"--data-parallel {wanted}" if options.data_parallel else "--device cuda"
        sys.exit(
            f"train.py: {asked}: this machine offers {cards} CUDA devices of {wanted} that "
            f"it takes; try --device cpu, or leave the Python peer out"
        )
    if options.device == "cpu" and (options.ranks_per_gpu > 1 or options.precision == "tf32"):
        sys.exit("train.py: --ranks-per-gpu and --precision tf32 are CUDA's; try --device cuda")
    if options.compile and ("RANK" in os.environ or options.data_parallel):
        sys.exit("train.py: --compile is of one process; leave it out beside several cards")


def inputs_of(options):
    inputs = Inputs(vocabulary=options.vocab_size)
    if options.dataset == "cifar10":
        inputs.channels, inputs.height, inputs.width = 3, 32, 32
    return inputs


def train(options, rank, world_size, distributed):
    """Returns the losses of this rank's batches, and for each step epoch, samples and ms."""
    dtype = torch.float64 if options.precision == "fp64" else torch.float32
    torch.backends.cuda.matmul.allow_tf32 = options.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = options.precision == "tf32"
    torch.backends.cudnn.benchmark = options.cudnn_benchmark
    torch.manual_seed(options.seed)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    inputs = inputs_of(options)
    cards = options.data_parallel
    device = card_of(options)
    clock = Clock(device)
    model = MODELS[options.model](inputs).to(device, dtype).to(memory_format=layout)
    if cards:
        model = nn.DataParallel(model, device_ids=list(range(cards)))
    if distributed:
        model = DistributedDataParallel(
            model, bucket_cap_mb=options.bucket_cap_mb, gradient_as_bucket_view=True
        )
    if options.compile:
        # Else it leaves compiled headers in the folder of temporary files.
        model = torch.compile(model, options={"cpp_cache_precompile_headers": False})
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), options.lr, options.momentum)

    images, labels = datasets.load(options.dataset, options.data_dir, inputs, dtype)
    if images.dim() == 4:
        images = images.contiguous(memory_format=layout)

    def put(batch):
        if options.pin_memory:
            batch = batch.pin_memory()
        return batch.to(device, non_blocking=options.pin_memory)

    # With one process it is torch.randperm's order itself.
    sampler = DistributedSampler(
        labels, world_size, rank, shuffle=True, seed=options.seed, drop_last=options.drop_last
    )

    # DataParallel takes the whole batch and cuts it.
    batch_size = options.batch_size * max(1, cards)
    autocast = nullcontext()  # entered again in every step
    if options.precision == "bf16":
        autocast = torch.autocast(device.type, torch.bfloat16)
    losses, epochs, samples, spans = [], [], [], []
    epoch = 0
    if device.type == "cuda":
        for card in cards_of(options, device):
            torch.cuda.reset_peak_memory_stats(card)
    while len(losses) < options.steps:
        sampler.set_epoch(epoch)
        batches = torch.tensor(list(sampler)).split(batch_size)
        if options.drop_last and len(batches[-1]) < batch_size:
            batches = batches[:-1]
        begin = clock.now()
        for batch in batches:
            optimizer.zero_grad()
            with autocast:
                logits = model(put(images[batch]))
                loss = criterion(logits.flatten(0, -2), put(labels[batch]).flatten())
            loss.backward()
            optimizer.step()
            end = clock.now()
            spans.append((begin, end))
            begin = end
            losses.append(loss.detach())
            epochs.append(epoch)
            samples.append(len(batch) * world_size)
            if len(losses) == options.steps:
                break
        epoch += 1
    step_ms = clock.ms(spans)
    return torch.stack(losses).double().cpu(), epochs, samples, step_ms


def slowest(of_ranks):
    """The step times of the rank that took longest, as they count in ours."""
    return max(of_ranks, key=sum)


def report(options, losses, epochs, samples, step_ms, of_cards):
    """What training/report.h writes, so far as it is known here: no phases, no ledger."""
    cards = [
        {
            "card": card,
            "peak_bytes": int(allocated),
            "at_peak_bytes": {},
            "allocator_peak_bytes": {"allocated": int(allocated), "reserved": int(reserved)},
        }
        for card, (allocated, reserved) in enumerate(of_cards)
    ]
    return {
        "epochs": epochs,
        "losses": losses,
        "samples": samples,
        "step_ms": step_ms,
        "phases_ms": {},
        "cards": cards,
        "threads_per_card": options.threads,
        "device": options.device,
        "device_name": torch.cuda.get_device_name() if options.device == "cuda" else "",
        "rss_peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "correct": 0,
        "evaluated": 0,
    }


def main():
    options = parse_options()
    check(options)
    if options.dry_run:
        return
    torch.set_num_threads(options.threads)
    # torchrun says by the environment who this process is.
    distributed = "RANK" in os.environ
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = card_of(options)
    if distributed:
        meet(options, device, rank)

    losses, epochs, samples, step_ms = train(options, rank, world_size, distributed)
    of_cards = peaks(options, device)

    if distributed:
        # Once, after training: every rank has as many samples, so the mean of means is the
        # mean over the global batch.
        losses = losses.to(device)
        dist.all_reduce(losses)
        losses /= world_size
        step_ms = slowest(gathered(step_ms, device, world_size))
        if of_cards:
            of_cards = gathered(of_cards[0], device, world_size)
        dist.destroy_process_group()
    losses = losses.tolist()
    if rank == 0 and options.report_file:
        text = json.dumps(report(options, losses, epochs, samples, step_ms, of_cards))
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
