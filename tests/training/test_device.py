from __future__ import annotations

import pytest
import torch

from medt_pipeline.core.errors import UserError
from medt_pipeline.training.device import choose_device


def test_a_clusters_machines_may_have_what_this_one_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="The device 'cuda' is not available here"):
        choose_device("cuda")
    assert choose_device("cuda", elsewhere=True) == torch.device("cuda")
    assert choose_device("cpu", elsewhere=True) == torch.device("cpu")
    with pytest.raises(UserError, match="A Ray cluster knows no device mps"):
        choose_device("mps", elsewhere=True)
