"""Stick figures with known joints, on cluttered grounds: data for pose estimation.

Knows a skeleton, how its limbs hang together, and how to paint it. Knows no network and no metric.

Coordinates are (x, y) in pixels, x to the right and y down; the middle of the pixel in row r and
column c is (c, r). Left and right are the figure's own, and it faces the viewer unless said
otherwise: its left arm is on the right of the picture.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data.dataset import Dataset

SPLITS = ("train", "val", "test")
JOINTS = (
    *("head", "left shoulder", "right shoulder", "left elbow", "right elbow"),
    *("left wrist", "right wrist", "left hip", "right hip"),
    *("left knee", "right knee", "left ankle", "right ankle"),
)
MIRRORED = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11)  # the joint on the other side
BONES = (
    *((1, 2), (7, 8), (1, 7), (2, 8)),  # trunk
    *((1, 3), (3, 5), (2, 4), (4, 6)),  # arms
    *((7, 9), (9, 11), (8, 10), (10, 12)),  # legs
)
TRUNK, SHOULDER, HIP, ARM, LEG, NECK = 0.30, 0.11, 0.07, 0.17, 0.20, 0.13  # shares of the height
CLUTTER = 1  # strokes behind the figure that are no limbs


def load(
    split: str = "train", n: int = 1_000, size: int = 48, seed: int = 0, from_behind: bool = False
) -> Dataset:
    """N = n pictures of one figure each; fewer are not a prefix of more.

    Columns, S = size and J = 13:
        image: (N, 3, S, S) uint8.
        joints: (N, J, 2) float32 (x, y), in the order of JOINTS, mostly inside the picture.
        angles: (N, 9) float32 radians, as `_skeleton` takes them.

    With `from_behind` the same figures are seen from behind: the picture shows where a joint is,
    but left and right are exchanged.

    Raises:
        ValueError: for an unknown split or an option out of range.
    """
    checks.one_of(SPLITS, split=split)
    checks.at_least(1, n=n)
    checks.at_least(32, size=size)
    checks.at_least(0, seed=seed)
    generator = torch.Generator().manual_seed(int(3 * seed + SPLITS.index(split)))

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator)

    height = uniform(n, low=0.65, high=0.85) * size
    middle = uniform(n, 2, low=0.42, high=0.58) * size
    angles = uniform(n, 9, low=-1.0) * torch.tensor([0.3, *[1.2] * 4, *[0.6] * 4])
    angles[:, 1] += 0.9  # upper arms hang outwards
    angles[:, 2] += 0.9
    joints = _skeleton(angles, height, middle)
    clutter = uniform(n, CLUTTER, 2, 2) * size
    colours = uniform(n, 2, 3)
    colours[:, 1] = torch.where(  # ground and figure are well apart in brightness
        colours.mean(dim=2).diff(dim=1).abs() < 0.35, (colours[:, 0] + 0.5) % 1, colours[:, 1]
    )
    images = _paint(joints, clutter, colours, size)
    if from_behind:
        joints = joints[:, list(MIRRORED)]
    columns = {"image": images, "joints": joints, "angles": angles}
    return Dataset(columns, name=f"figures/{split}")


def _skeleton(angles: Tensor, height: Tensor, middle: Tensor) -> Tensor:
    """Forward kinematics: where the joints are (N, 13, 2), from the trunk outwards.

    Args:
        angles: (N, 9) radians: lean of the trunk; upper arm left and right, lower arm left and
            right, thigh left and right, shin left and right. 0 hangs along the trunk; a positive
            angle lifts a limb outwards, and a lower limb is measured against its upper one.
        height, middle: (N,) pixels; (N, 2) the point half way between trunk and legs.
    """
    lean, *limbs = angles.unbind(1)
    down = torch.stack([-lean.sin(), lean.cos()], dim=1)  # [N, 2]
    across = torch.stack([lean.cos(), lean.sin()], dim=1)  # towards the figure's left
    unit = height.unsqueeze(1)
    hips, chest = middle, middle - TRUNK * unit * down
    joints = {0: chest - NECK * unit * down}
    for side, sign in ((0, 1.0), (1, -1.0)):
        shoulder = chest + sign * SHOULDER * unit * across
        hip = hips + sign * HIP * unit * across
        for start, length, upper, root in ((1, ARM, 0, shoulder), (7, LEG, 4, hip)):
            turn = limbs[upper + side]
            joints[start + side] = root
            for step, bend in ((2, 0), (4, limbs[upper + 2 + side])):
                turn = turn + bend
                way = turn.cos().unsqueeze(1) * down + sign * turn.sin().unsqueeze(1) * across
                joints[start + step + side] = joints[start + step - 2 + side] + length * unit * way
    return torch.stack([joints[j] for j in range(len(JOINTS))], dim=1)


def _paint(joints: Tensor, clutter: Tensor, colours: Tensor, size: int) -> Tensor:
    """Pictures (N, 3, S, S) uint8, antialiased.

    Args:
        joints: (N, 13, 2).
        clutter: (N, K, 2, 2) ends of strokes behind the figure, in its colour.
        colours: (N, 2, 3) in [0, 1], of the ground and of the figure.
    """
    scale = (joints[:, 1] - joints[:, 8]).norm(dim=1) / 16  # thickness follows the trunk
    strokes = [(clutter[:, k, 0], clutter[:, k, 1]) for k in range(clutter.shape[1])]
    strokes += [(joints[:, a], joints[:, b]) for a, b in BONES]
    cover = torch.zeros(len(joints), size, size)
    for start, end in strokes:
        cover = torch.maximum(cover, _stroke(start, end, scale.clamp(min=0.8), size))
    cover = torch.maximum(cover, _stroke(joints[:, 0], joints[:, 0], 3.2 * scale, size))
    cover = cover.unsqueeze(1)  # [N, 1, S, S]
    ground, ink = colours.unsqueeze(-1).unsqueeze(-1).unbind(1)  # [N, 3, 1, 1] each
    return ((ground * (1 - cover) + ink * cover) * 255).round().byte()


def walk(frames: int = 16, size: int = 48) -> tuple[Tensor, Tensor]:
    """One figure that marches on the spot: video (F, 3, S, S) uint8 and joints (F, 13, 2).

    After F frames it is where it began. `size` is at least 32.
    """
    checks.at_least(1, frames=frames)
    checks.at_least(32, size=size)
    phase = torch.arange(frames) * (2 * math.pi / frames)
    swing, zero = phase.sin(), torch.zeros(frames)
    arms = [0.6 + 0.5 * swing, 0.6 - 0.5 * swing, 0.5 + 0.4 * swing, 0.5 - 0.4 * swing]
    legs = [0.35 + 0.3 * swing, 0.35 - 0.3 * swing, -0.4 - 0.4 * swing, -0.4 + 0.4 * swing]
    angles = torch.stack([zero, *arms, *legs], dim=1)
    middle = torch.full((frames, 2), 0.5 * size)
    joints = _skeleton(angles, torch.full((frames,), 0.8 * size), middle)
    colours = torch.tensor([[0.9, 0.9, 0.85], [0.1, 0.2, 0.4]]).expand(frames, 2, 3)
    return _paint(joints, torch.zeros(frames, 0, 2, 2), colours, size), joints


def _stroke(start: Tensor, end: Tensor, radius: Tensor, size: int) -> Tensor:
    """(N, S, S) in [0, 1]: how far each pixel is covered by the capsule from start to end."""
    line = torch.arange(size, dtype=torch.float32)
    x = line - start[:, :1, None]  # [N, 1, S]
    y = line.unsqueeze(1) - start[:, 1:, None]  # [N, S, 1]
    u, v = (end - start)[:, :, None, None].unbind(1)  # [N, 1, 1]
    along = ((x * u + y * v) / (u * u + v * v).clamp(min=1e-6)).clamp(0, 1)  # [N, S, S]
    distance = ((x - along * u).square() + (y - along * v).square()).sqrt()
    return (radius[:, None, None] + 0.5 - distance).clamp(0, 1)
