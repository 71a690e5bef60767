import base64
import io
import re

import pytest
import torch
from PIL import Image

from mmtutor.notebook.video_plots import (
    animation,
    colour_wheel,
    filmstrip,
    flow_arrows,
    flow_colours,
    flow_grid,
    heat_over,
    skeletons,
)


def test_an_animation_is_a_gif_of_the_frames_with_any_caption():
    clip = torch.stack([torch.full((3, 6, 8), value, dtype=torch.uint8) for value in (0, 99, 200)])
    shown = animation([clip, clip / 255], ["<b> 向左", "two"]).data
    assert "&lt;b&gt; 向左" in shown
    for data in re.findall('base64,([^"]+)', shown):
        gif = Image.open(io.BytesIO(base64.b64decode(data)))
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (3, (8, 6), 0)
        gif.seek(1)
        assert gif.convert("RGB").getpixel((3, 3)) == (99, 99, 99)
    with pytest.raises(ValueError, match="got 1 titles for 2 clips"):
        animation([clip, clip], ["one"])


def test_colours_name_directions():
    def colour(u, v):
        return flow_colours(torch.tensor([u, v]).view(2, 1, 1), 1.0).flatten().tolist()

    assert colour(0.0, 0.0) == [1, 1, 1]
    assert colour(1.0, 0.0) == [1, 0, 0]
    assert colour(9.0, 0.0) == [1, 0, 0]  # longer than the longest
    assert colour(-1.0, 0.0) == [0, 1, 1]
    assert colour(0.5, 0.0) == [1, 0.5, 0.5]
    wheel = colour_wheel(9)
    assert wheel[:, 4, 8].tolist() == [1, 0, 0]
    assert wheel[:, 0, 0].tolist() == [1, 1, 1]


def test_figures_have_a_panel_for_each_thing():
    clip, flow = torch.rand(4, 3, 8, 8), torch.rand(2, 8, 8)
    assert len(filmstrip([clip, clip], ["a", "b"]).axes) == 8
    assert len([a for a in flow_grid([flow, flow], ["a", "b"]).axes if a.images]) == 3
    assert len(flow_arrows([clip[0], clip[0, 0]], [flow, flow], ["a", "b"]).axes) == 2
    found = skeletons(clip, torch.rand(4, 3, 2), [(0, 1)], truth=torch.rand(4, 3, 2), columns=3)
    assert sum(bool(axis.images) for axis in found.axes) == 4
    heat = heat_over(clip[0], torch.rand(3, 4, 4), ["a", "b", "c"])
    assert [axis.get_title() for axis in heat.axes] == ["a", "b", "c"]
