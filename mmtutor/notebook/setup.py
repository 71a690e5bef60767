"""The first lines of a chapter: seeds, plot style, and a word on the machine and the time.

Knows the device and how long the chapter took when the book was last built. Knows no recipe: a
preset is only a name here. Matplotlib and torch are touched when `setup` is called, not before.
"""

from __future__ import annotations

import json
import os
import random
import sys
from importlib import metadata
from importlib.resources import files

from mmtutor import checks

PRESETS = ("tiny", "cpu", "stored", "t4", "h100")
CJK_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "WenQuanYi Zen Hei"),
    *("WenQuanYi Micro Hei", "PingFang SC", "Microsoft YaHei", "SimHei", "Arial Unicode MS"),
)

# Module -> package of the libraries that a kernel may have loaded before a page's first cell ran.
LIBRARIES = {
    **{name: name for name in ("numpy", "scipy", "matplotlib", "torch", "torchvision")},
    **{name: name for name in ("transformers", "accelerate", "safetensors", "tokenizers")},
    "PIL": "pillow",
    "sklearn": "scikit-learn",
}


def setup(chapter: str, seed: int = 0, threads: int | None = None) -> None:
    """Seed the generators, set the plot style and print what this chapter will run on.

    Args:
        chapter: its path in the book, such as "5-labs/retrieval".
        seed: for `random`, NumPy's old global generator and torch.
        threads: how many torch may use on a CPU; None leaves it as it is. Small models are quicker
            with one: two that share so little work mostly wait for each other.

    Raises:
        RuntimeError: a library was loaded before another version of it was installed.
    """
    _refuse_stale_libraries()
    import numpy as np
    import torch

    checks.instance(str, chapter=chapter)
    checks.at_least(0, seed=seed)
    if threads is not None:
        checks.at_least(1, threads=threads)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that a chapter calls may still use it
    torch.manual_seed(seed)
    if threads is not None:
        torch.set_num_threads(threads)
    _set_plot_style()
    device, preset = _device_in_words(), default_preset()
    print(f"{device}, precision {precision()}, preset {preset!r}, seed {seed}")
    print(_expected_time(chapter))


def _refuse_stale_libraries() -> None:
    """RuntimeError where what this kernel has loaded is no longer what is installed.

    Happens on Colab, which loads libraries before a page's first cell installs newer ones.
    """
    stale = []
    for module, package in LIBRARIES.items():
        loaded = getattr(sys.modules.get(module), "__version__", None)
        try:
            installed = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if loaded and str(loaded).partition("+")[0] != installed.partition("+")[0]:
            stale.append(f"{package} {loaded} is loaded, {installed} is installed")
    if stale:
        raise RuntimeError(
            f"{'; '.join(stale)}: restart the kernel (on Colab: Runtime, Restart session), "
            "then run the page again from the top"
        )


def default_preset() -> str:
    """The preset for this machine: $MMTUTOR_PRESET if set, else "cpu", "t4" or "h100".

    Raises ValueError for a variable that names none of `PRESETS`.
    """
    import torch

    chosen = os.environ.get("MMTUTOR_PRESET")
    if chosen:
        checks.one_of(PRESETS, **{"$MMTUTOR_PRESET": chosen})
        return chosen
    if not torch.cuda.is_available():
        return "cpu"
    return "h100" if torch.cuda.get_device_capability() >= (8, 0) else "t4"


def precision() -> str:
    """What `fit(precision="auto")` will use here: "fp32", "fp16" or "bf16"."""
    from mmtutor.training.optim import mixed_precision

    chosen = mixed_precision("auto")
    return "fp32" if chosen == "no" else chosen


def _device_in_words() -> str:
    """The GPU by its name, or how many threads of the CPU torch may use."""
    import torch

    if torch.cuda.is_available():
        return f"GPU {torch.cuda.get_device_name()}"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def _expected_time(chapter: str) -> str:
    """How long the chapter took when the book was built, and on what."""
    timing = json.loads(files(__package__).joinpath("timings.json").read_text()).get(chapter)
    if timing is None:
        return "Run time: not measured yet."
    took = _duration(timing["seconds"])
    return f"Run time when the book was built: {took} ({timing['machine']})."


def _duration(seconds: float) -> str:
    """Seconds below one and a half minutes, else minutes."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _set_plot_style() -> None:
    """Readable, colour-blind safe, and with a Chinese font behind the usual one if there is one."""
    import matplotlib as mpl
    from matplotlib import font_manager, style

    style.use("mmtutor.notebook.book")
    installed = {font.name for font in font_manager.fontManager.ttflist}
    chinese = [name for name in CJK_FONTS if name in installed]
    mpl.rcParams["font.family"] = ["DejaVu Sans", *chinese[:1]]
