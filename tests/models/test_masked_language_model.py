import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from mmtutor.data.batch import hide_tokens
from mmtutor.encoders import SmallTransformer
from mmtutor.losses import cross_entropy
from mmtutor.models.masked_language_model import MaskedLanguageModel, from_bert

SHAPE = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 9,
    "initializer_range": 0.3,
}


def bert(**changes) -> BertForMaskedLM:
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(**{**SHAPE, **changes})).eval()
    for parameter in model.parameters():  # biases of zero would hide one that is left out
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def batch_of(rows: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    mask = torch.arange(7) < torch.tensor([[7], [4], [2]])[:rows]
    return {"tokens": torch.randint(5, 30, (rows, 7)) * mask, "tokens_mask": mask}


def test_it_equals_the_bert_of_transformers_in_values_and_gradients():
    theirs = bert()
    ours, batch = from_bert(theirs).eval(), batch_of()
    states = theirs.bert(batch["tokens"], batch["tokens_mask"].long()).last_hidden_state
    encoded = ours.encoder(batch["tokens"], batch["tokens_mask"])
    real = batch["tokens_mask"]
    torch.testing.assert_close(encoded.tokens[real], states[real], rtol=0, atol=1e-5)
    hidden = real & (torch.arange(7) % 2 == 0)
    logits = ours({**batch, "hidden": hidden}).logits
    expected = theirs(batch["tokens"], batch["tokens_mask"].long()).logits[hidden]
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
    for each in (logits, expected):
        (each * torch.linspace(-1, 1, each.numel()).view_as(each)).sum().backward()
    torch.testing.assert_close(
        ours.encoder.embedding.weight.grad,
        theirs.bert.embeddings.word_embeddings.weight.grad,
        rtol=1e-4,
        atol=1e-4,
    )


def test_another_activation_is_refused():
    with pytest.raises(ValueError, match="activation 'gelu', got 'relu'"):
        from_bert(bert(hidden_act="relu"))
    with pytest.raises(RuntimeError):
        from_bert(bert(intermediate_size=32))


def test_the_objective_of_all_classifiers_trains_it():
    torch.manual_seed(0)
    model = MaskedLanguageModel(SmallTransformer(30, 16, norm_first=False))
    generator = torch.Generator().manual_seed(0)
    batch = hide_tokens(batch_of(), 30, 4, generator, special=range(5))
    loss = cross_entropy(model(batch), batch)
    loss.backward()
    assert model(batch).logits.shape == (batch["hidden"].sum(), 30)
    assert abs(loss.item() - torch.tensor(30.0).log()) < 0.5
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(KeyError, match="lacks hidden"):
        model(batch_of())
