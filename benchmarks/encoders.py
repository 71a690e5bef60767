"""The encoders, forward and backward, against models of the same size from torchvision, torch or
transformers.

On a CPU in float32; where there is a GPU, on it in bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import Comparison
from mmtutor.encoders import (
    AudioCNN,
    AudioTransformer,
    EfficientNetLite0,
    RecurrentEncoder,
    SmallCNN,
    SmallTransformer,
    VideoCNN,
    VisionTransformer,
)
from mmtutor.encoders.spectrogram import LogMel

SIZES_WITHIN = 1.25  # "the same size": parameters differ by at most this factor
LENGTH = 64
WIDE = {"3d": 224, "2+1d": 320}  # tokens of the video encoders


@dataclass(frozen=True)
class Pair:
    """An encoder and its peer, on one input."""

    name: str
    encoder: nn.Module
    inputs: tuple[Tensor, ...]
    peer_name: str
    peer: nn.Module
    call: Callable[[nn.Module, tuple[Tensor, ...]], Tensor]  # the peer on the input


def comparisons(batch: int = 32, rounds: int = 5) -> list[Comparison]:
    """Two rows for each encoder, forward alone and forward with backward; no bounds."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    return [comparison for pair in pairs(batch) for comparison in _rows(pair, device, rounds)]


def pairs(batch: int) -> Iterator[Pair]:
    """The encoders with their peers, on random inputs of usual size."""
    yield from _image(batch)
    yield from _text(batch)
    yield from _audio(batch)
    yield from _video(max(batch // 8, 2))


def _image(batch: int) -> Iterator[Pair]:
    from torchvision import models

    small, large = torch.rand(batch, 3, 64, 64), torch.rand(max(batch // 4, 2), 3, 224, 224)
    yield Pair(
        "SmallCNN, 64 x 64",
        SmallCNN(dim=256, width=96),
        (small,),
        "torchvision MobileNetV2, width 0.7",
        models.MobileNetV2(width_mult=0.7).features,
        lambda peer, inputs: peer(*inputs),
    )
    peer = models.VisionTransformer(64, 8, num_layers=4, num_heads=4, hidden_dim=192, mlp_dim=768)
    peer.heads = nn.Identity()
    yield Pair(
        "VisionTransformer, 64 x 64",
        VisionTransformer(192, image_size=64, patch=8, depth=4, heads=4),
        (small,),
        "torchvision VisionTransformer",
        peer,
        lambda peer, inputs: peer(*inputs),
    )
    yield Pair(
        "EfficientNetLite0, 224 x 224",
        EfficientNetLite0(trainable=True),
        (large,),
        "torchvision EfficientNet-B0",
        models.efficientnet_b0(),
        lambda peer, inputs: peer.features(*inputs),
    )


def _text(batch: int, vocabulary: int = 8_000, dim: int = 256) -> Iterator[Pair]:
    from transformers import BertConfig, BertModel

    ids = torch.randint(vocabulary, (batch, LENGTH))
    inputs = ids, torch.ones_like(ids, dtype=torch.bool)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=dim,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=4 * dim,
        max_position_embeddings=LENGTH,
    )
    yield Pair(
        f"SmallTransformer, {LENGTH} tokens",
        SmallTransformer(vocabulary, dim, depth=4, heads=4, max_length=LENGTH, dropout=0.1),
        inputs,
        "transformers BertModel",
        BertModel(config, add_pooling_layer=False),
        lambda peer, inputs: peer(inputs[0], attention_mask=inputs[1]).last_hidden_state,
    )
    yield Pair(
        f"RecurrentEncoder (LSTM), {LENGTH} tokens",
        RecurrentEncoder(vocabulary, dim),
        inputs,
        "torch nn.LSTM",
        nn.Sequential(nn.Embedding(vocabulary, dim), nn.LSTM(dim, dim, batch_first=True)),
        lambda peer, inputs: peer(inputs[0])[0],
    )


def _audio(batch: int, dim: int = 256) -> Iterator[Pair]:
    from torchvision.models import MobileNetV2
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    sound = 0.1 * torch.randn(batch, 400 + 199 * 160)  # two seconds: 200 frames
    spectrogram = LogMel()
    config = WhisperConfig(
        d_model=dim,
        encoder_layers=4,
        encoder_attention_heads=4,
        encoder_ffn_dim=4 * dim,
        num_mel_bins=spectrogram.mels,
        max_source_positions=100,
        dropout=0.1,
    )
    yield Pair(
        "AudioCNN, 2 s",
        AudioCNN(dim, width=96),
        (sound,),
        "torchvision MobileNetV2, width 0.5, on the same log-mel",
        _OnLogMel(spectrogram, MobileNetV2(width_mult=0.5).features, as_picture=True),
        lambda peer, inputs: peer(*inputs),
    )
    yield Pair(
        "AudioTransformer, 2 s",
        AudioTransformer(dim, depth=4, patch=2, dropout=0.1),
        (sound,),
        "transformers WhisperEncoder, on the same log-mel",
        _OnLogMel(spectrogram, WhisperEncoder(config), as_picture=False),
        lambda peer, inputs: peer(*inputs).last_hidden_state,
    )


def _video(batch: int) -> Iterator[Pair]:
    from torchvision.models.video import resnet

    clip = torch.rand(batch, 8, 3, 64, 64)
    kinds = {"3d": resnet.Conv3DSimple, "2+1d": resnet.Conv2Plus1D}
    for kind, convolution in kinds.items():
        peer = resnet.VideoResNet(
            resnet.BasicBlock, [convolution] * 4, [1, 1, 1, 1], resnet.BasicStem
        )
        peer.layer3 = peer.layer4 = peer.fc = nn.Identity()  # two stages: about our size
        yield Pair(
            f"VideoCNN {kind}, 8 frames of 64 x 64",
            VideoCNN(dim=WIDE[kind], width=64, kind=kind),
            (clip,),
            f"torchvision VideoResNet of {convolution.__name__}, two stages",
            peer,
            lambda peer, inputs: peer(inputs[0].transpose(1, 2)),
        )


class _OnLogMel(nn.Module):
    """A model that begins where our audio encoders' spectrogram ends."""

    def __init__(self, spectrogram: LogMel, model: nn.Module, as_picture: bool) -> None:
        super().__init__()
        self.spectrogram, self.model, self.as_picture = spectrogram, model, as_picture

    def forward(self, sound: Tensor) -> Any:
        bands = self.spectrogram(sound)[0].transpose(1, 2)  # [B, M, N]
        return self.model(bands.unsqueeze(1).expand(-1, 3, -1, -1) if self.as_picture else bands)


def _rows(pair: Pair, device: str, rounds: int) -> Iterator[Comparison]:
    encoder, peer = pair.encoder.to(device).train(), pair.peer.to(device).train()
    inputs = tuple(x.to(device) for x in pair.inputs)

    def ours(backward: bool) -> None:
        _run(encoder, lambda: encoder(*inputs).tokens, backward, device)

    def theirs(backward: bool) -> None:
        _run(peer, lambda: pair.call(peer, inputs), backward, device)

    def same(_: None, __: None) -> None:
        sizes = [sum(p.numel() for p in model.parameters()) for model in (encoder, peer)]
        assert max(sizes) <= SIZES_WITHIN * min(sizes), (pair.name, sizes)

    arithmetic = f"fp32, threads: {torch.get_num_threads()}" if device == "cpu" else "bf16"
    for backward in (False, True):
        yield Comparison(
            what=f"{pair.name}, {'forward and backward' if backward else 'forward'}, {arithmetic}",
            peer=pair.peer_name,
            ours=lambda backward=backward: ours(backward),
            theirs=lambda backward=backward: theirs(backward),
            same=same,
            rounds=rounds,
            examples=len(inputs[0]),
            models=(encoder, peer),
        )


def _run(model: nn.Module, forward: Callable[[], Tensor], backward: bool, device: str) -> None:
    """One pass, waited for; gradients are made and dropped."""
    with torch.set_grad_enabled(backward):
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            out = forward()
        if backward:
            out.float().square().mean().backward()
            model.zero_grad(set_to_none=True)
    if device == "cuda":
        torch.cuda.synchronize()
