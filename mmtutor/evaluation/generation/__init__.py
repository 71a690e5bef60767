"""Scores of generated text, all of them by their names.

Knows where each lives. N-grams: `bleu`, `cider`; order of words: `sequences`; embeddings:
`embedding_scores`; what is not in the picture: `hallucination`; how text is cut: `text`.
Does not know how text is generated.
"""

from mmtutor.evaluation.generation.bleu import bleu
from mmtutor.evaluation.generation.cider import cider, cider_d, plain_cider_d
from mmtutor.evaluation.generation.embedding_scores import (
    bert_score,
    clip_score,
    idf,
    ref_clip_score,
)
from mmtutor.evaluation.generation.hallucination import (
    chair,
    mentions,
    pope_questions,
    says_yes,
)
from mmtutor.evaluation.generation.ngrams import distinct
from mmtutor.evaluation.generation.sequences import error_rate, meteor_lite, rouge_l
from mmtutor.evaluation.generation.text import TOKENIZERS, Scores, tokenize
