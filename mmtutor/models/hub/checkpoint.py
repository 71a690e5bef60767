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

# The branch that holds safetensors, where a hub id's main branch has pickled weights alone; or a
# commit, so that what is fine-tuned stays the same.
REVISIONS = {
    "dandelin/vilt-b32-finetuned-vqa": "refs/pr/9",
    "HuggingFaceTB/SmolVLM-256M-Instruct": "7e3e67edbbed1bf9888184d9df282b700a323964",
    "HuggingFaceTB/SmolVLM-Instruct": "81cd9a775a4d644f2faf4e7becff4559b46b14c7",
    "Qwen/Qwen3-VL-8B-Instruct": "0c351dd01ed87e9c1b53cbc748cba10e6187ff3b",
}


def load_checkpoint(
    source: str | Path,
    class_of: Callable[[PreTrainedConfig], Any],
    dtype: torch.dtype,
    **options: Any,
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """The model, in evaluation mode on the CPU, and the processor of a folder or a hub id.

    Only safetensors weights are read, and no code from the hub runs.

    Args:
        class_of: gives the model's class, or raises, before any weights are fetched.
        dtype: of the weights.
        options: further ones of the class's `from_pretrained`.

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
    safely["revision"] = REVISIONS.get(name, "main")
    try:
        model_class = class_of(AutoConfig.from_pretrained(name, **safely))
        options |= {"use_safetensors": True, "dtype": dtype}
        model = model_class.from_pretrained(name, **options, **safely)
        return model.eval(), AutoProcessor.from_pretrained(name, **safely)
    except OSError as error:
        if unreachable:
            raise HubUnreachableError(source) from error
        raise
