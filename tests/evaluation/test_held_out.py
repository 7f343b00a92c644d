import threading
import time

import numpy as np
import pytest

from medt_pipeline.evaluation.held_out import CaseSource, HeldOutCase, over_cases


def test_labels_come_from_the_prediction_or_the_probabilities():
    reference = np.zeros((2, 2), int)
    probabilities = np.array([[[0.9, 0.2], [0.3, 0.5]], [[0.1, 0.8], [0.7, 0.5]]])
    assert HeldOutCase(reference, probabilities=probabilities).label_map.tolist() == [[0, 1], [1, 0]]
    given = np.ones((2, 2), int)
    assert HeldOutCase(reference, given, probabilities).label_map is given
    with pytest.raises(ValueError, match="label map or probabilities"):
        _ = HeldOutCase(reference).label_map


def test_cases_come_in_order_and_few_are_in_memory():
    lock, now, most = threading.Lock(), 0, 0

    def load(number):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        return HeldOutCase(np.full((1, 1), number))

    def measure(case):
        nonlocal now
        with lock:
            now -= 1
        return int(case.reference[0, 0])

    sources = [CaseSource("p", lambda number=number: load(number)) for number in range(20)]
    assert over_cases(sources, measure, threads=3) == list(range(20))
    assert 1 <= most <= 3
