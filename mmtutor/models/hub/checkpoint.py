"""A checkpoint of `transformers` read safely: its model and its processor.

Knows folders, hub ids and the network. Does not know what a model is for; `transformers` is
imported only when a checkpoint is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mmtutor.data.hub.preprocess import (
    HubUnreachableError,
    hub_reachable,
    is_folder,
    need_hub_extra,
)

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, ProcessorMixin

# The branch that holds safetensors, where a hub id's main branch has pickled weights alone.
BRANCHES = {"dandelin/vilt-b32-finetuned-vqa": "refs/pr/9"}


def load_checkpoint(
    source: str | Path,
    class_of: Callable[[PreTrainedConfig], Any],
    dtype: torch.dtype,
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """The model, in evaluation mode on the CPU, and the processor of a folder or a hub id.

    Only safetensors weights are read, and no code from the hub runs.

    Args:
        class_of: gives the model's class, or raises, before any weights are fetched.
        dtype: of the weights.

    Raises:
        HubUnreachableError: no network and no cached copy.
        FileNotFoundError: `source` is neither a folder nor a hub id.
        OSError: the source has no safetensors weights or no processor.
        ImportError: the extra `hub` is not installed.
    """
    need_hub_extra()
    from transformers import AutoConfig, AutoProcessor

    unreachable = not is_folder(source) and not hub_reachable()
    name = Path(source).expanduser().as_posix()
    safely = {"trust_remote_code": False, "local_files_only": unreachable}
    safely["revision"] = BRANCHES.get(name, "main")
    try:
        model_class = class_of(AutoConfig.from_pretrained(name, **safely))
        model = model_class.from_pretrained(name, use_safetensors=True, dtype=dtype, **safely)
        return model.eval(), AutoProcessor.from_pretrained(name, **safely)
    except OSError as error:
        if unreachable:
            raise HubUnreachableError(source) from error
        raise
