"""Networks are known again by all that decides what they say."""

from __future__ import annotations

from dataclasses import replace

from medt_pipeline.inference.networks_hash import networks_hash
from tests.slides.stand_in import ColourThreshold, stand_in


def test_the_same_and_another() -> None:
    members = stand_in().members
    same = networks_hash(members)
    assert same == networks_hash(stand_in().members)
    others = [
        stand_in(network=ColourThreshold(21.0)).members,
        stand_in(patch=(32, 32)).members,
        stand_in(mirror_axes=(0,)).members,
        (replace(members[0], weight=0.5),),
    ]
    assert len({same, *map(networks_hash, others)}) == 5
