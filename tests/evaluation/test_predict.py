import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix

from mmtutor.data import Dataset, loader
from mmtutor.encoders import FeatureEncoder
from mmtutor.evaluation import Predictions, predict
from mmtutor.models import Classifier


def test_counts_equal_scikit_learns():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(4, (200,), generator=generator)
    made = Predictions(torch.randn(200, 5, generator=generator), label)
    expected = confusion_matrix(label, made.predicted, labels=range(5))
    assert made.confusion().tolist() == expected.tolist()
    interval = made.accuracy()
    assert interval.estimate == pytest.approx(accuracy_score(label, made.predicted))
    assert interval.low < interval.estimate < interval.high


def test_predict_keeps_the_order_and_the_mode():
    data = Dataset({"image_features": torch.randn(5, 2), "label": torch.arange(5) % 3})
    model = Classifier(FeatureEncoder(2), 3, dropout=0.9).train()
    found = predict(model, loader(data, 2))
    assert model.training
    assert found.label.tolist() == [0, 1, 2, 0, 1]
    expected = model.head[1](data.column("image_features"))  # without the dropout
    torch.testing.assert_close(found.logits, expected.detach())


def test_nothing_to_predict_is_an_error():
    with pytest.raises(ValueError, match="no batch"):
        predict(Classifier(FeatureEncoder(2), 2), [])


def test_a_frozen_part_stays_frozen():
    model = Classifier(FeatureEncoder(3), classes=2)
    model.train()
    model.head.eval()
    data = Dataset({"image_features": torch.rand(4, 3), "label": torch.zeros(4, dtype=torch.long)})
    predict(model, loader(data, 2))
    assert model.training
    assert not model.head.training
    assert not any(part.training for part in model.head.modules())


def test_a_data_set_is_read_whole_and_in_order():
    n = 2 * 256 + 3  # more than two batches
    data = Dataset({"image_features": torch.randn(n, 2), "label": torch.arange(n)})
    model = Classifier(FeatureEncoder(2), n)
    whole, by_hand = predict(model, data), predict(model, loader(data, 100))
    assert whole.label.tolist() == list(range(n))
    torch.testing.assert_close(whole.logits, by_hand.logits)


def test_a_model_that_diverged_has_no_accuracy():
    data = Dataset({"image_features": torch.rand(4, 3), "label": torch.zeros(4, dtype=torch.long)})
    model = Classifier(FeatureEncoder(3), classes=2)
    torch.nn.init.constant_(model.head[-1].bias, torch.nan)
    with pytest.raises(ValueError, match=r"logits must be finite, got nan at \[0\]"):
        predict(model, data)


def test_labels_in_a_column_are_not_broadcast():
    with pytest.raises(ValueError, match=r"label must be \(N,\) with N = 3"):
        Predictions(torch.eye(3), torch.arange(3)[:, None]).accuracy()
    with pytest.raises(ValueError, match=r"label must be whole numbers in \[0, 3\), got -100"):
        Predictions(torch.eye(3), torch.tensor([0, -100, 2])).accuracy()


def test_words_are_no_batches():
    with pytest.raises(TypeError, match="each batch of data must be a dict, got 'a'"):
        predict(Classifier(FeatureEncoder(2), 2), "abc")
