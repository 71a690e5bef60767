import pytest
import torch
from torch import Tensor, nn

from mmtutor.encoders import Encoded, SmallCNN
from mmtutor.losses import next_token
from mmtutor.models.generative import (
    GPT,
    GPTConfig,
    Patches,
    VisionLanguageModel,
    generate,
)
from mmtutor.models.generative.gpt import GPTOutput
from mmtutor.models.generative.vision_language import WAYS

PICTURE = 11  # the placeholder
LLAMA = {"norm": "rms", "positions": "rotary", "activation": "swiglu", "kv_heads": 2}


class Given(nn.Module):
    """An encoder that passes on what it is given."""

    modality, dim = "image", 6

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        return Encoded(x, torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask)


def model_of(way: str = "two-layer", options: dict = LLAMA, scale: float = 0.5, **more):
    """A model all of whose weights matter; its gates are open."""
    torch.manual_seed(0)
    gpt = GPT(GPTConfig(12, 16, 2, 4, max_length=40, tied=False, **options))
    model = VisionLanguageModel(gpt, Given(), PICTURE, way, **{"queries": 3, **more}).eval()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=scale)
    for look in model.looks:
        look.gates.data.fill_(1.0)
    return model


def batch_of(lengths: list[int], where: int = 1, vectors: int = 5, left: bool = False) -> dict:
    """Texts whose placeholder stands at `where`, and pictures of five vectors."""
    torch.manual_seed(1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    tokens = torch.randint(1, PICTURE, mask.shape)
    tokens[:, where] = PICTURE
    tokens *= mask
    if left:
        tokens, mask = (
            torch.stack([r.roll(max(lengths) - n) for r, n in zip(x, lengths, strict=True)])
            for x in (tokens, mask)
        )
    return {
        "tokens": tokens,
        "tokens_mask": mask,
        "image": torch.randn(len(lengths), vectors, Given.dim),
    }


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{}, LLAMA], ids=["GPT-2", "Llama"])
@pytest.mark.parametrize("way", ["linear", "two-layer"])
@pytest.mark.parametrize("where", [0, 2, 5])
def test_by_hand_vectors_stand_where_the_placeholder_was(options, way, where):
    model, batch = model_of(way, options), batch_of([6, 6], where)
    shown = model.project(batch["image"])
    words = model.gpt.embedding(batch["tokens"])
    stream = torch.cat([words[:, :where], shown, words[:, where + 1 :]], dim=1)
    expected = model.gpt.logits(model.gpt.states(stream))
    logits = model(batch).logits
    same(logits[:, :where], expected[:, :where])
    same(logits[:, where:], expected[:, where + 4 :])


def without_placeholder(batch: dict) -> dict:
    """The texts of `batch_of`, with the placeholder at 2 cut out."""
    return {k: torch.cat([x[:, :2], x[:, 3:]], 1) for k, x in batch.items() if k != "image"}


@pytest.mark.parametrize("options", [{}, LLAMA], ids=["GPT-2", "Llama"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("none", ["all are padding", "there are none"])
def test_with_a_prefix_of_length_zero_it_is_the_gpt(options, way, none):
    model, batch = model_of(way, options), batch_of([7, 4, 5], where=2)
    if none == "there are none":
        nothing = {**batch, "image": batch["image"][:, :0]}
    else:
        nothing = {**batch, "image_mask": torch.zeros(3, 5, dtype=torch.bool)}
    words = [0, 1, 3, 4, 5, 6]
    plain = without_placeholder(batch)
    mask, expected = plain["tokens_mask"], model.gpt(plain).logits
    same(model(nothing).logits[:, words][mask], expected[mask])
    found, alone = (generate(*one, 5).tokens for one in ((model, nothing), (model.gpt, plain)))
    assert found.tolist() == alone.tolist()
    seen = model(batch).logits[:, words]
    assert (seen - expected)[:, 2:][mask[:, 2:]].abs().amax(-1).min() > 1e-2
    if way != "gated":
        same(seen[:, :2], expected[:, :2])  # what stands before the picture does not know it


@pytest.mark.parametrize("way", WAYS)
def test_neither_a_vector_nor_a_word_before(way):
    model, batch = model_of(way), batch_of([5, 5], where=0)
    found = model({**batch, "image": batch["image"][:, :0]}).logits
    same(found[:, 1:], model.gpt({"tokens": batch["tokens"][:, 1:]}).logits)


@pytest.mark.parametrize("way", WAYS)
def test_the_placeholder_is_never_read(way):
    model, batch = model_of(way), batch_of([7, 4, 5], where=2)
    before, read = model(batch).logits, generate(model, batch, 1).tokens
    model.gpt.embedding.weight.data[PICTURE] = 9.0
    words = batch["tokens_mask"] & (batch["tokens"] != PICTURE)
    same(model(batch).logits[words], before[words])
    assert generate(model, batch, 1).tokens.tolist() == read.tolist()


@pytest.mark.parametrize("every", [1, 2])
def test_a_shut_gate_leaves_the_gpt_as_it_is_and_an_open_one_does_not(every):
    model, batch = model_of("gated", every=every), batch_of([7, 4], where=2)
    assert len(model.looks) == 2 // every
    plain, words = without_placeholder(batch), [0, 1, 3, 4, 5, 6]
    mask, expected = plain["tokens_mask"], model.gpt(plain).logits
    found = model(batch).logits[:, words]
    assert (found - expected)[mask].abs().amax(-1).min() > 1e-2
    for look in model.looks:
        look.gates.data.zero_()
    same(model(batch).logits[:, words][mask], expected[mask])
    next_token(model(batch), batch).backward()
    assert all(look.gates.grad.abs().min() > 0 for look in model.looks), "the gates can open"
    assert torch.equal(model.gpt(plain).logits, expected), "no look stays behind in the GPT"


def test_a_prompt_looks_for_the_placeholder_once(monkeypatch):
    model, batch, calls = model_of(), batch_of([6, 6]), []
    where = VisionLanguageModel._where
    monkeypatch.setattr(VisionLanguageModel, "_where", lambda *x: calls.append(1) or where(*x))
    model(batch)
    assert len(calls) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("left", [False, True])
def test_padding_of_texts_and_pictures_changes_nothing(way, left):
    model, lengths = model_of(way), [7, 3, 5]
    batch = batch_of(lengths, where=1, left=left)
    batch["image_mask"] = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 1, 1]]).bool()
    logits = model(batch).logits
    for i, (mask, shown) in enumerate(zip(batch["tokens_mask"], batch["image_mask"], strict=True)):
        alone = {"tokens": batch["tokens"][i, mask][None], "image": batch["image"][i, shown][None]}
        same(logits[i, mask], model(alone).logits[0])
    changed = {
        **batch,
        "tokens": batch["tokens"].masked_fill(~batch["tokens_mask"], PICTURE),  # no placeholder
        "image": batch["image"].masked_fill(~batch["image_mask"].unsqueeze(-1), 9.0),
    }
    same(model(changed).logits[batch["tokens_mask"]], logits[batch["tokens_mask"]])


@pytest.mark.parametrize("way", WAYS)
def test_order_counts_where_vectors_stand_in_the_text_and_nowhere_else(way):
    model, batch = model_of(way), batch_of([6, 6])
    turned = {**batch, "image": batch["image"].flip(1)}
    moved = (model(batch).logits - model(turned).logits)[:, 1:].abs().amax()
    assert moved > 1e-2 if way in ("linear", "two-layer") else moved < 1e-4
    swapped = {**batch, "image": batch["image"].flip(0)}
    assert (model(batch).logits - model(swapped).logits)[:, 1:].abs().amax(-1).min() > 1e-3
    rows = {key: value.flip(0) for key, value in batch.items()}
    same(model(rows).logits.flip(0), model(batch).logits)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", [{}, LLAMA], ids=["GPT-2", "Llama"])
@pytest.mark.parametrize("ways", [{}, {"beams": 3}, {"temperature": 1.0}, {"stop": 4}])
def test_with_and_without_cache_and_alone_the_same_is_written(way, options, ways):
    model, batch = model_of(way, options), batch_of([6, 3, 4])

    def written(batch, **more):
        draws = {"generator": torch.Generator().manual_seed(3)} if "temperature" in ways else {}
        return generate(model, batch, 8, **ways, **draws, **more)

    found = written(batch)
    assert found.tokens.tolist() == written(batch, cached=False).tokens.tolist()
    assert len(found.tokens.unique()) > 2
    if "temperature" in ways:
        return
    for i, mask in enumerate(batch["tokens_mask"]):
        alone = written({"tokens": batch["tokens"][i, mask][None], "image": batch["image"][[i]]})
        n = alone.tokens.shape[1]
        assert found.tokens[i, :n].tolist() == alone.tokens[0].tolist()
        assert not found.mask[i, n:].any()


def test_what_is_written_follows_from_the_logits():
    model, batch = model_of("two-layer"), batch_of([4, 4])
    found = generate(model, batch, 3).tokens
    for length in range(3):
        longer = {"tokens": torch.cat([batch["tokens"], found[:, :length]], dim=1)}
        logits = model({**longer, "image": batch["image"]}).logits[:, -1]
        assert logits.argmax(-1).tolist() == found[:, length].tolist()


@pytest.mark.parametrize("way", WAYS)
def test_gradients_reach_what_is_new_and_nothing_that_is_frozen(way):
    model, batch = model_of(way), batch_of([6, 6])
    model.gpt.requires_grad_(False)
    next_token(model(batch), batch).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("gpt."):
            assert parameter.grad is None, name
        else:
            assert parameter.grad.abs().max() > 0, name


def test_one_stream_of_patches_and_words():
    torch.manual_seed(0)
    gpt = GPT(GPTConfig(12, 16, 2, 4))
    model, batch = VisionLanguageModel(gpt, Patches(4), PICTURE, "linear"), batch_of([5, 5])
    batch["image"] = torch.rand(2, 3, 8, 12)
    seen = Patches(4)(batch["image"])
    assert seen.tokens.shape == (2, 6, 48)
    same(seen.tokens[0, 4], 2 * batch["image"][0, :, 4:, 4:8].flatten() - 1)
    assert model.prompt(batch).vectors.shape == (2, 4 + 6, 16)
    assert model(batch).logits.shape == (2, 5, 12)
    cnn = VisionLanguageModel(gpt, SmallCNN(8, 4, 2), PICTURE)
    assert cnn({**batch, "image": torch.rand(2, 3, 16, 16)}).logits.shape == (2, 5, 12)


def test_a_placeholder_that_is_missing_or_doubled_gets_a_sentence():
    model, batch = model_of(), batch_of([5, 5])
    for places, count in (([], 0), ([1, 3], 2)):
        tokens = batch["tokens"].clone()
        tokens[1] = 3
        tokens[1, places] = PICTURE
        message = f"hold the placeholder 11 once a text, got {count} in text 1"
        for use in (model, lambda batch: generate(model, batch, 2)):
            with pytest.raises(ValueError, match=message):
                use({**batch, "tokens": tokens})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"way": "three-layer"}, "way must be 'linear', .* did you mean 'two-layer'"),
        ({"placeholder": 12}, r"placeholder must be whole numbers in \[0, 12\), got 12"),
        ({"queries": 0}, "queries must be a whole number of at least 1, got 0"),
        ({"way": "gated", "every": 2}, "every must be at most 1, the depth, got 2"),
        ({"gpt": nn.Linear(2, 2)}, "gpt must be a GPT"),
        ({"image_encoder": None}, "image_encoder must be a Module"),
    ],
)
def test_bad_settings_are_refused(changed, message):
    good = {"gpt": GPT(GPTConfig(12, 16, 1)), "image_encoder": Given(), "placeholder": PICTURE}
    with pytest.raises((TypeError, ValueError), match=message):
        VisionLanguageModel(**{**good, **changed})


def test_a_batch_without_a_picture_and_a_text_too_long_are_refused():
    model, batch = model_of(), batch_of([5])
    with pytest.raises(KeyError, match="lacks image"):
        model({"tokens": batch["tokens"]})
    with pytest.raises(ValueError, match="at most max_length = 40 long, got 44"):
        model({**batch, "image": torch.randn(1, 40, 6)})
    with pytest.raises(ValueError, match="length must be at most 31, for 9 tokens of prompt"):
        generate(model, batch, 32)
    assert isinstance(model(batch), GPTOutput)
