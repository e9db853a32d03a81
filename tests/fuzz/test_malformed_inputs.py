"""Promises: of hundreds of malformed inputs none ends a process, or in a traceback, and all are named.

All are drawn from one seed. A sound reader may also take what it is given: some damage does no harm.
"""

import json
import random

import pytest

from tests.fuzz import readers
from tests.fuzz.children import in_child

SEED = 2026
COUNTS = {
    "images": 60,
    "videos": 50,
    "folders": 20,
    "model_files": 60,
    "published_weights": 50,
    "bundles": 15,
    "yaml_files": 40,
    "run_configs": 50,
    "toml_files": 50,
    "journals": 50,
    "crops": 48,
    "json_files": 60,
    "keys_and_certificates": 25,
    "deploy_arguments": 45,
    "introductions": 20,
    "scores_of_clients": 30,
}


def test_there_are_enough():
    assert sum(COUNTS.values()) >= 400
    assert set(COUNTS) == {name for name in vars(readers) if not name.startswith("_")} & set(COUNTS)


@pytest.mark.slow  # half a minute
@pytest.mark.parametrize("kind", COUNTS)
def test_each_is_named_and_none_ends_the_process(kind, tmp_path):
    rng = random.Random(f"{SEED} {kind}")
    cases = list(getattr(readers, kind)(rng, COUNTS[kind], tmp_path))
    assert len(cases) == COUNTS[kind]
    outcomes = in_child(cases, tmp_path)
    wrong = {name: outcome for name, outcome in outcomes.items() if outcome not in ("named", "read")}
    assert not wrong, json.dumps(wrong, indent=1)
    assert set(outcomes) == {name for name, _, _ in cases}
    assert sum(outcome == "named" for outcome in outcomes.values()) >= len(cases) // 6, outcomes
