"""A training run by MMEngine's own Runner (PyPI), which ours is held to. For tests alone.

    python mmengine_twin.py --model resnet18 --steps 20 --precision fp64
    python mmengine_twin.py --each "--model mlp --steps 5" "--model mlp --cfg '{...}'"

One process on the CPU, built as in MMEngine's "15 minutes" tutorial: SGD of lr 0.001 and
momentum 0.9, batches of 32, the networks and data of bench/peers. Prints {"loss": [...],
"lr": [...], "norms": [...]}: of each step the batch's own loss (smoothed by nobody, not divided
by accumulative_counts) and the rate it was trained with; of each parameter in the model's order
its norm after the last step. --each prints {LINE: that}: several runs by one start, which takes
seconds.

--cfg is JSON that changes the configuration as MMEngine's --cfg-options do, dots in keys
included: {"train_cfg.max_epochs": 2, "param_scheduler": [{"type": "StepLR", "step_size": 1}]}.
Four short names stand for what lies deeper: "clip_grad", "accumulative_counts", "optimizer" (in
place of SGD) and "amp": "bf16".
"""

import argparse
import contextlib
import functools
import json
import os
import shlex
import sys
import tempfile
import types
import warnings
from pathlib import Path

# MMEngine takes whatever card it sees.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
# It imports OpenCV (a large package) to draw on images, and asks it for no more than these two
# where nothing is drawn. matplotlib, the other large one, is asked for by drawing alone (Undrawn).
sys.modules["cv2"] = types.SimpleNamespace(__version__="none", setNumThreads=lambda count: None)
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench/peers"))

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, MODELS, OPTIM_WRAPPERS, VISUALIZERS
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from mmengine.visualization import Visualizer
from torch.nn.functional import cross_entropy

import datasets
import networks
from synthetic_images import synthetic

DATASET_NAMES = ("fashion-mnist", "mnist", "synthetic")  # what all of MODEL_NAMES take
MODEL_NAMES = [name for name in networks.MODELS if not name.startswith("transformer")]
DTYPES = {"fp32": torch.float32, "fp64": torch.float64}


@MODELS.register_module()
class Classifier(BaseModel):
    def __init__(self, name, precision):
        super().__init__()
        self.network = networks.MODELS[name](networks.Inputs()).to(DTYPES[precision])

    def forward(self, images, labels, mode):
        return {"loss": cross_entropy(self.network(images), labels)}


@DATASETS.register_module()
class Samples(torch.utils.data.TensorDataset):
    def __init__(self, name, data_dir, precision):
        super().__init__(*loaded(name, data_dir, precision))


@functools.cache
def loaded(name, data_dir, precision):
    if name == "synthetic":
        return synthetic(DTYPES[precision])
    return datasets.load(name, data_dir, networks.Inputs(), DTYPES[precision])


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """AmpOptimWrapper(dtype="bfloat16") but for its GradScaler: that one refuses to be on a CPU."""

    @contextlib.contextmanager
    def optim_context(self, model):
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


@VISUALIZERS.register_module()
class Undrawn(Visualizer):
    def __init__(self, name, save_dir):
        super(Visualizer, self).__init__(name)
        self._vis_backends = {}


class Enough(Exception):
    """Of an epoch no more steps are wanted: MMEngine's loop looks between epochs alone."""


class Recorder(Hook):
    priority = "LOWEST"

    def __init__(self, steps):
        self.steps = steps
        self.seen = {"loss": [], "lr": []}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen["lr"].append(runner.optim_wrapper.get_lr()["lr"][0])

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen["loss"].append(outputs["loss"].item())
        if len(self.seen["loss"]) == self.steps:
            raise Enough


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", nargs="+", metavar="LINE", help="options of a run, each")
    parser.add_argument("--model", choices=MODEL_NAMES, default="mlp")
    parser.add_argument("--dataset", choices=DATASET_NAMES, default="fashion-mnist")
    parser.add_argument("--data-dir", default="", help="folder of its files")
    parser.add_argument("--steps", type=int, help="default: all that train_cfg has")
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cfg", type=json.loads, default={}, metavar="JSON")
    return parser.parse_args(arguments)


def changes(cfg):
    """The short names in full."""
    made = dict(cfg)
    if "optimizer" in made:
        made["optimizer"] = {**made["optimizer"], "_delete_": True}
    for name in ("clip_grad", "accumulative_counts", "optimizer"):
        if name in made:
            made[f"optim_wrapper.{name}"] = made.pop(name)
    if "amp" in made:
        if made.pop("amp") != "bf16":
            raise ValueError('amp: only "bf16" is known')
        made["optim_wrapper.type"] = "Bf16OptimWrapper"
    return made


def configuration(options, work_dir, name):
    cfg = Config(
        dict(
            model=dict(type="Classifier", name=options.model, precision=options.precision),
            work_dir=work_dir,
            train_dataloader=dict(
                batch_size=32,
                dataset=dict(
                    type="Samples",
                    name=options.dataset,
                    data_dir=options.data_dir,
                    precision=options.precision,
                ),
                sampler=dict(type="DefaultSampler", shuffle=True),
                collate_fn=dict(type="default_collate"),
            ),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.001, momentum=0.9)),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            default_hooks=dict(logger=None, checkpoint=None),
            visualizer=dict(type="Undrawn"),
            launcher="none",
            randomness=dict(seed=options.seed),
            log_level="ERROR",
            experiment_name=name,  # its loggers and hubs are kept by name, and runs differ
        )
    )
    cfg.merge_from_dict(changes(options.cfg))
    return cfg


def run(options, name):
    torch.set_num_threads(options.threads)
    recorder = Recorder(options.steps)
    with tempfile.TemporaryDirectory() as work_dir:
        runner = Runner.from_cfg(configuration(options, work_dir, name))
        runner.register_hook(recorder)
        with contextlib.suppress(Enough):
            runner.train()
    norms = [parameter.double().norm().item() for parameter in runner.model.parameters()]
    return {**recorder.seen, "norms": norms}


def main():
    options = parse(sys.argv[1:])
    warnings.simplefilter("ignore")
    # What MMEngine prints is not the answer.
    with contextlib.redirect_stdout(sys.stderr):
        if options.each:
            answer = {line: run(parse(shlex.split(line)), line) for line in options.each}
        else:
            answer = run(options, "twin")
    print(json.dumps(answer))


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"mmengine_twin.py: {str(error).splitlines()[0]}")
