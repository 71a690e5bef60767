from itertools import product

import pytest
import torch
from torch import Tensor

from mmtutor.models.generative import GPT, Generated, GPTConfig, generate, next_probabilities

LLAMA = {"norm": "rms", "positions": "rotary", "activation": "swiglu", "kv_heads": 2}
WAYS = {
    "greedy": {},
    "drawn": {"temperature": 1.3},
    "top k": {"temperature": 1.0, "top_k": 3},
    "top p": {"temperature": 0.8, "top_p": 0.7},
    "beams": {"beams": 3},
    "beams, stop": {"beams": 3, "stop": 2},
    "stop": {"stop": 4},
}


def model_of(vocab_size: int = 12, **changes) -> GPT:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size, 16, 2, 4, max_length=32, tied=False, **changes)).eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:  # the biases as they are: large ones would write one token forever
            torch.nn.init.normal_(parameter, std=0.5)
    return model


def prompts(lengths: list[int], left: bool, below: int = 12) -> dict[str, Tensor]:
    torch.manual_seed(1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    tokens = torch.randint(1, below, mask.shape) * mask
    if left:
        tokens, mask = (
            torch.stack([r.roll(max(lengths) - n) for r, n in zip(x, lengths, strict=True)])
            for x in (tokens, mask)
        )
    return {"tokens": tokens, "tokens_mask": mask}


def same(one: Generated, other: Generated) -> None:
    assert one.tokens.tolist() == other.tokens.tolist()
    assert one.mask.tolist() == other.mask.tolist()


def seeded(ways: dict) -> dict:
    return {**ways, "generator": torch.Generator().manual_seed(3)}


@pytest.mark.parametrize("options", [{}, LLAMA], ids=["GPT-2", "Llama"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lengths", [[5, 5], [6, 2, 1]])
def test_with_and_without_cache_the_same_is_written(options, way, lengths):
    model, batch = model_of(**options), prompts(lengths, left=True)
    with_cache = generate(model, batch, 9, **seeded(WAYS[way]))
    same(with_cache, generate(model, batch, 9, **seeded(WAYS[way]), cached=False))
    assert len(with_cache.tokens.unique()) > 2


@pytest.mark.parametrize("options", [{}, LLAMA], ids=["GPT-2", "Llama"])
@pytest.mark.parametrize("way", ["greedy", "beams", "beams, stop", "stop"])
@pytest.mark.parametrize("left", [False, True])
def test_a_padded_batch_is_as_its_texts_alone(options, way, left):
    model, lengths = model_of(**options), [6, 2, 1, 4]
    batch = prompts(lengths, left)
    together = generate(model, batch, 9, **WAYS[way])
    for i, mask in enumerate(batch["tokens_mask"]):
        alone = generate(model, {"tokens": batch["tokens"][i, mask][None]}, 9, **WAYS[way])
        n = alone.tokens.shape[1]
        assert together.tokens[i, :n].tolist() == alone.tokens[0].tolist()
        assert not together.mask[i, n:].any()


def log_p(model: GPT, prompt: Tensor, text: tuple[int, ...]) -> float:
    tokens = torch.cat([prompt, torch.tensor(text)])[None]
    scores = model({"tokens": tokens}).logits[0].log_softmax(-1)[len(prompt) - 1 : -1]
    return sum(row[token].item() for row, token in zip(scores, text, strict=True))


def texts(vocabulary: int, length: int, stop: int | None) -> list[tuple[int, ...]]:
    """All there are: of the whole length, or ended by the stop token."""
    if stop is None:
        return list(product(range(vocabulary), repeat=length))
    others = [token for token in range(vocabulary) if token != stop]
    ended = [(*t, stop) for n in range(length) for t in product(others, repeat=n)]
    return ended + list(product(others, repeat=length))


@pytest.mark.parametrize("stop", [None, 3])
@pytest.mark.parametrize("seed", range(3))
def test_beam_search_equals_brute_force(stop, seed):
    model = model_of(4, **LLAMA)
    prompt = torch.randint(4, (3,), generator=torch.Generator().manual_seed(seed))
    best = max(texts(4, 4, stop), key=lambda text: log_p(model, prompt, text))
    wide = generate(model, {"tokens": prompt[None]}, 4, beams=4**3, stop=stop)
    assert tuple(wide.tokens[wide.mask].tolist()) == best


def test_more_beams_find_likelier_texts_and_one_is_greedy():
    model, better = model_of(), 0
    for seed in range(20):
        prompt = torch.randint(12, (3,), generator=torch.Generator().manual_seed(seed))
        found = [
            log_p(
                model,
                prompt,
                tuple(generate(model, {"tokens": prompt[None]}, 6, beams=b).tokens[0].tolist()),
            )
            for b in (1, 8)
        ]
        better += found[1] > found[0] + 1e-4
    assert better > 5


def test_the_stop_token_ends_a_text_and_zeros_follow():
    model, batch = model_of(), prompts([4, 4, 4, 4], left=False)
    free = generate(model, batch, 9)
    stop = free.tokens[0, 3].item()
    found = generate(model, batch, 9, stop=stop)
    for row, mask, unstopped in zip(found.tokens, found.mask, free.tokens, strict=True):
        written = unstopped.tolist()
        n = written.index(stop) + 1 if stop in written else len(written)
        assert mask.sum() == min(n, mask.numel())
        assert row[mask].tolist() == written[:n]
        assert (row[~mask] == 0).all()
    alone = {"tokens": batch["tokens"][:1]}
    assert (
        generate(model, alone, 9, stop=stop).tokens.shape[1]
        == free.tokens[0].tolist().index(stop) + 1
    )


def test_probabilities_by_hand():
    logits = torch.tensor([[0.4, 0.1, 0.3, 0.2]]).log()
    expect = {
        (None, None): [0.4, 0.1, 0.3, 0.2],
        (1, None): [1, 0, 0, 0],
        (2, None): [4 / 7, 0, 3 / 7, 0],
        (9, None): [0.4, 0.1, 0.3, 0.2],
        (None, 0.3): [1, 0, 0, 0],
        (None, 0.6): [4 / 7, 0, 3 / 7, 0],
        (None, 0.75): [4 / 9, 0, 3 / 9, 2 / 9],
        (None, 1.0): [0.4, 0.1, 0.3, 0.2],
        (3, 0.7): [4 / 7, 0, 3 / 7, 0],  # 4/9 and 3/9 are more than 0.7 of the three
        (2, 0.5): [1, 0, 0, 0],
    }
    for (top_k, top_p), p in expect.items():
        found = next_probabilities(logits, 1.0, top_k, top_p)
        torch.testing.assert_close(found, torch.tensor([p]).float(), rtol=0, atol=1e-6)
    squares = torch.tensor([[0.16, 0.01, 0.09, 0.04]]) / 0.3
    torch.testing.assert_close(next_probabilities(logits, 0.5), squares)
    assert next_probabilities(logits.half()).dtype == torch.float32


def test_tokens_are_drawn_as_often_as_they_are_probable():
    model = model_of()
    batch = {"tokens": torch.tensor([[1, 2, 3]]).expand(4_000, 3)}
    settings = {"temperature": 1.5, "top_k": 5, "top_p": 0.9}
    drawn = generate(model, batch, 1, **seeded(settings)).tokens[:, 0]
    p = next_probabilities(model({"tokens": batch["tokens"][:1]}).logits[0, -1], 1.5, 5, 0.9)
    share = torch.bincount(drawn, minlength=12) / 4_000
    assert (share - p).abs().max() < 0.03
    assert (share[p == 0] == 0).all()
    assert 1 < (p > 0).sum() < 6


def test_the_model_is_as_before_and_what_it_wrote_can_be_learned_from():
    model = model_of(dropout=0.5).train()
    batch = prompts([4, 2], left=True)
    written = generate(model, batch, 5)
    assert model.training
    same(written, generate(model, batch, 5))
    model({"tokens": written.tokens}).logits.sum().backward()
    assert model.embedding.weight.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="length must be"):
        generate(model, batch, 0)
    assert model.training


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"temperature": -1.0}, "temperature must be in"),
        ({"beams": 0}, "beams must be a whole number of at least 1, got 0"),
        ({"beams": 2, "temperature": 1.0}, "beams must be 1 where temperature is above 0, got 2"),
        ({"top_k": 3}, "temperature must be above 0 for top_k or top_p, got 0"),
        ({"temperature": 1.0, "top_k": 0}, "top_k must be a whole number of at least 1, got 0"),
        ({"temperature": 1.0, "top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"stop": 12}, "stop must be whole numbers in"),
        ({"length": 40}, "length must be at most 29, for 3 tokens of prompt .* got 40"),
    ],
)
def test_bad_settings_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        generate(model_of(), prompts([3], False), **{"length": 4, **settings})


def test_bad_prompts_are_refused():
    model, batch = model_of(), prompts([3, 2], left=False)
    with pytest.raises(ValueError, match="text of padding alone"):
        generate(model, {**batch, "tokens_mask": batch["tokens_mask"] & False}, 2)
    with pytest.raises(KeyError, match="lacks tokens"):
        generate(model, {}, 2)
    with pytest.raises(ValueError, match="tokens must be whole numbers in"):
        generate(model, {"tokens": torch.tensor([[99]])}, 2)
    with pytest.raises(TypeError, match="model must be a GPT"):
        generate(torch.nn.Linear(2, 2), batch, 2)
