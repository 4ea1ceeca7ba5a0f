"""The training halves of data/dataset.h's data sets, in memory: inputs and labels."""

import gzip
from pathlib import Path

import numpy as np
import torch

# The tutorials' numbers, as in data/dataset.cpp.
MNIST = (torch.tensor([0.1307]), torch.tensor([0.3081]))
CIFAR10 = (torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2470, 0.2435, 0.2616]))


def read_maybe_gzip(folder, name):
    packed = folder / f"{name}.gz"
    return gzip.open(packed).read() if packed.exists() else (folder / name).read_bytes()


def read_idx(folder, name):
    """An IDX file, gzipped or plain, as an array of bytes of the shape its header gives."""
    data = read_maybe_gzip(folder, name)
    dimensions = data[3]
    shape = np.frombuffer(data, ">u4", count=dimensions, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def normalised(pixels, mean_and_std, dtype):
    """Images [n, c, h, w], normalised in fp32 and widened then."""
    mean, std = (numbers.view(1, -1, 1, 1) for numbers in mean_and_std)
    images = torch.from_numpy(pixels.astype(np.float32))
    return images.div_(255).sub_(mean).div_(std).to(dtype)


def idx_images(folder, dtype):
    images = read_idx(folder, "train-images-idx3-ubyte")
    labels = read_idx(folder, "train-labels-idx1-ubyte").astype(np.int64)
    return normalised(images[:, np.newaxis], MNIST, dtype), torch.from_numpy(labels)


def cifar10(folder, dtype):
    if (folder / "cifar-10-batches-bin").is_dir():
        folder = folder / "cifar-10-batches-bin"
    data = b"".join(read_maybe_gzip(folder, f"data_batch_{i}.bin") for i in range(1, 6))
    records = np.frombuffer(data, np.uint8).reshape(-1, 1 + 3072)
    images = records[:, 1:].reshape(-1, 3, 32, 32)
    return normalised(images, CIFAR10, dtype), torch.from_numpy(records[:, 0].astype(np.int64))


def text(file, length):
    """As data/text.h cuts it: the last tenth of the sequences is for the test."""
    tokens = torch.from_numpy(np.fromfile(file, np.uint8).astype(np.int64))
    sequences = (len(tokens) - 1) // length
    train = sequences - max(1, sequences // 10)
    used = train * length
    return tokens[:used].view(-1, length), tokens[1 : used + 1].view(-1, length)


def chain(vocabulary, length):
    """As data/tokens.cpp draws it."""
    train, test, others = 4096, 256, 4
    random = torch.Generator().manual_seed(64)

    def draw(*shape):
        skewed = torch.rand(shape, generator=random).pow(4) * vocabulary
        return skewed.to(torch.int32).clamp_max(vocabulary - 1)

    following = draw(vocabulary, others)
    turns = torch.randint(others, (length, train + test), generator=random)
    tokens = [draw(train + test)]
    for turn in turns:
        tokens.append(following.view(-1)[tokens[-1] * others + turn])
    chains = torch.stack(tokens, 1)[:train].long()
    return chains[:, :-1].contiguous(), chains[:, 1:].contiguous()


DATASETS = ("fashion-mnist", "mnist", "cifar10", "tokens")


def load(dataset, data_dir, inputs, dtype):
    """An empty data_dir: the data set's own place, as in data/data_folder.cpp."""
    if dataset == "tokens":
        if data_dir:
            return text(data_dir, inputs.length)
        return chain(inputs.vocabulary, inputs.length)
    folder = Path(data_dir or f"/usr/share/datasets/{dataset}")
    return cifar10(folder, dtype) if dataset == "cifar10" else idx_images(folder, dtype)
