"""Models that write: one that counts, a GPT, one that sees, how next tokens are chosen, a judge."""

from mmtutor.models.generative.config import GPTConfig
from mmtutor.models.generative.generate import Generated, generate, next_probabilities
from mmtutor.models.generative.gpt import GPT
from mmtutor.models.generative.ngram import NGram
from mmtutor.models.generative.reward import RewardModel, RewardOutput
from mmtutor.models.generative.vector_quantised import VectorQuantisedAutoencoder, VectorQuantiser
from mmtutor.models.generative.vision_language import Patches, VisionLanguageModel
