"""The stack's own ``vmap`` and functional call against torch's."""

import pytest
import torch
from torch import nn
from torch.func import functional_call

from automl_opt.training.fused.slots import Body, vmap


def test_vmap_gives_what_torch_gives_for_trees_of_tensors():
    x, y = torch.randn(3, 4, 5), torch.randn(3, 5)

    def function(pair, named):
        return {"product": pair[0] @ named["y"], "shared": [torch.ones(2), *pair]}, named["y"].sum()

    given = [x, x + 1], {"y": y}
    found, expected = vmap(function, *given), torch.vmap(function)(*given)

    assert torch.equal(found[0]["product"], expected[0]["product"])
    assert torch.equal(found[1], expected[1])
    for one, other in zip(found[0]["shared"], expected[0]["shared"], strict=True):
        assert torch.equal(one, other)


def test_an_error_inside_leaves_no_trace():
    def wrong(x):
        raise ArithmeticError

    x = torch.randn(2, 3)
    with pytest.raises(ArithmeticError):
        vmap(wrong, x)
    with pytest.raises(TypeError, match="float where torch"):
        vmap(lambda x: 1.0, x)

    assert torch.equal(vmap(torch.sum, x), x.sum(1))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(self.norm(x)).relu())


def test_a_body_runs_on_other_tensors_and_keeps_its_own():
    model, x = Tied(), torch.randn(8, 4)
    own = {name: t.clone() for name, t in [*model.named_parameters(), *model.named_buffers()]}
    other = {name: tensor + 1 for name, tensor in own.items()}
    copies = [{name: tensor.clone() for name, tensor in other.items()} for _ in range(2)]

    found, expected = Body(model)(copies[0], x), functional_call(model, copies[1], (x,))

    assert torch.equal(found, expected)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        assert torch.equal(tensor, own[name])
        assert torch.equal(copies[0][name], copies[1][name])
    with pytest.raises(RuntimeError):
        Body(model)(other, torch.randn(8, 5))
    assert isinstance(model.first.weight, nn.Parameter)
    assert model.second.weight is model.first.weight
