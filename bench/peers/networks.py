"""The networks of model/networks.cpp, model/resnet.cpp and model/transformer.cpp.

The same layers made in the same order draw the same parameters from the same seed.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Inputs:
    """What a network is made for, as in model/networks.h."""

    channels: int = 1
    height: int = 28
    width: int = 28
    classes: int = 10
    vocabulary: int = 50257
    length: int = 64

    def pixels(self):
        return self.channels * self.height * self.width


def mlp(inputs):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs.pixels(), 256), nn.ReLU(), nn.Linear(256, inputs.classes)
    )


def mlp_wide(inputs):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs.pixels(), 2048), nn.ReLU(),
        nn.Linear(2048, 2048), nn.ReLU(),
        nn.Linear(2048, inputs.classes),
    )  # fmt: skip


def conv_block(inputs, outputs, batch_norm):
    norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return [nn.Conv2d(inputs, outputs, 5, padding=2), *norm, nn.ReLU(), nn.MaxPool2d(2)]


def two_block_convnet(inputs, batch_norm):
    blocks = conv_block(inputs.channels, 16, batch_norm) + conv_block(16, 32, batch_norm)
    pixels = (inputs.height // 4) * (inputs.width // 4)
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(32 * pixels, inputs.classes))


def convnet(inputs):
    return two_block_convnet(inputs, batch_norm=True)


def convnet_plain(inputs):
    return two_block_convnet(inputs, batch_norm=False)


def conv(inputs, outputs, kernel, stride):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def basic(inputs, width, stride):
    return nn.Sequential(
        conv(inputs, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU(),
        conv(width, width, 3, 1), nn.BatchNorm2d(width),
    )  # fmt: skip


def bottleneck(inputs, width, stride):
    return nn.Sequential(
        conv(inputs, width, 1, 1), nn.BatchNorm2d(width), nn.ReLU(),
        conv(width, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU(),
        conv(width, 4 * width, 1, 1), nn.BatchNorm2d(4 * width),
    )  # fmt: skip


class ResidualBlock(nn.Module):
    def __init__(self, body, inputs, outputs, stride):
        super().__init__()
        self.body = body
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.append(conv(inputs, outputs, 1, stride))
            self.shortcut.append(nn.BatchNorm2d(outputs))

    def forward(self, images):
        return torch.relu(self.body(images) + self.shortcut(images))


def resnet(inputs, body, growth, blocks):
    layers = [conv(inputs.channels, 64, 3, 1), nn.BatchNorm2d(64), nn.ReLU()]
    channels, width = 64, 64
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            outputs = growth * width
            layers.append(
                ResidualBlock(body(channels, width, stride), channels, outputs, stride)
            )
            channels = outputs
        width *= 2
    head = nn.Linear(channels, inputs.classes)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)


def resnet18(inputs):
    return resnet(inputs, basic, 1, (2, 2, 2, 2))


def resnet50(inputs):
    return resnet(inputs, bottleneck, 4, (3, 4, 6, 3))


WIDTH, HEADS, BLOCKS = 256, 4, 4


class TransformerBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.queries_keys_values = nn.Linear(WIDTH, 3 * WIDTH)
        self.attention_out = nn.Linear(WIDTH, WIDTH)
        self.mlp_norm = nn.LayerNorm(WIDTH)
        self.mlp_in = nn.Linear(WIDTH, 4 * WIDTH)
        self.mlp_out = nn.Linear(4 * WIDTH, WIDTH)

    def attention(self, hidden):
        n, length, _ = hidden.shape
        parts = self.queries_keys_values(hidden).view(n, length, 3, HEADS, WIDTH // HEADS)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
        heads = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        return self.attention_out(heads.transpose(1, 2).reshape(n, length, WIDTH))

    def forward(self, hidden):
        hidden = hidden + self.attention(self.attention_norm(hidden))
        return hidden + self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(hidden))))


class Transformer(nn.Module):
    def __init__(self, inputs, tied):
        super().__init__()
        self.token = nn.Parameter(torch.empty(inputs.vocabulary, WIDTH).normal_(0, 0.02))
        self.position = nn.Parameter(torch.empty(inputs.length, WIDTH).normal_(0, 0.02))
        self.blocks = nn.Sequential(*[TransformerBlock() for _ in range(BLOCKS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = None if tied else nn.Linear(WIDTH, inputs.vocabulary, bias=False)

    def forward(self, tokens):
        hidden = F.embedding(tokens, self.token) + self.position[: tokens.shape[1]]
        hidden = self.norm(self.blocks(hidden))
        return F.linear(hidden, self.token) if self.head is None else self.head(hidden)


def transformer(inputs):
    return nn.Sequential(Transformer(inputs, tied=False))


def transformer_tied(inputs):
    return nn.Sequential(Transformer(inputs, tied=True))


MODELS = {
    "mlp": mlp,
    "mlp-wide": mlp_wide,
    "convnet": convnet,
    "convnet-plain": convnet_plain,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "transformer": transformer,
    "transformer-tied": transformer_tied,
}
