import numpy as np
import pytest
from scipy.spatial.distance import cdist
from skimage.measure import label

from medt_pipeline.evaluation.object_distances import ObjectPixels, hausdorff_to_partners

from .shapes import PAIRS, blobs

MAPS = {name: (label(one), label(other)) for name, (one, other) in PAIRS.items() if name not in ("noise", "fine_blobs")}
MAPS["many"] = tuple(label(blobs(seed, 0.5, 0.4, (24, 30))) for seed in (11, 12))
SPACINGS = [(1.0, 1.0), (0.5, 2.0)]


def _reference_hausdorff(one, other, spacing):
    distances = cdist(np.argwhere(one) * spacing, np.argwhere(other) * spacing)
    return max(distances.min(0).max(), distances.min(1).max())


@pytest.mark.parametrize("spacing", SPACINGS, ids=str)
@pytest.mark.parametrize("maps", MAPS.values(), ids=MAPS)
def test_distances_equal_all_pairs_of_pixels(maps, spacing):
    reference, prediction = maps
    own, others = ObjectPixels(reference, prediction, spacing), ObjectPixels(prediction, reference, spacing)
    numbers, of_others = range(1, reference.max() + 1), range(1, prediction.max() + 1)
    table = np.array(
        [
            [_reference_hausdorff(reference == one, prediction == other, spacing) for other in of_others]
            for one in numbers
        ]
    )
    np.testing.assert_allclose(hausdorff_to_partners(own, others, np.full(len(table), -1)), table.min(1))
    for other in range(len(of_others)):
        found = hausdorff_to_partners(own, others, np.full(len(table), other))
        np.testing.assert_allclose(found, table[:, other])
