"""SmolLM2-135M-Instruct, a small real language model, from the cache: no hub.

Knows how `transformers` loads the folder that `data/hub/smollm2.py` made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mmtutor.checks import one_of
from mmtutor.data.fetch import located
from mmtutor.data.hub.preprocess import need_hub_extra

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


def load_smollm2(
    dtype: torch.dtype = torch.float32,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The model of 134.5 M parameters (Allal et al. 2025, "SmolLM2"), in evaluation mode on the
    CPU, and its tokenizer, which has a chat template and pads on the right.

    Its weights went through 4 bits, and 8 for the embeddings, on their way here.

    Args:
        dtype: of the weights: float32, float16 or bfloat16.

    Raises:
        FileNotFoundError: it is not in the cache; says how to get it.
        ImportError: the extra `hub` is not installed.
    """
    one_of((torch.float32, torch.float16, torch.bfloat16), dtype=dtype)
    folder = located("smollm2")
    need_hub_extra()
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # a page prints nothing to stderr
    try:
        model = LlamaForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    finally:
        if shown:
            logging.enable_progress_bar()
    return model.eval(), PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
