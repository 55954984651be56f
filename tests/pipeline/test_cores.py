"""How many cores there are changes nothing, not even the rounding of what is trained."""

import pytest

from absynth.models.weights import read_state

pytestmark = pytest.mark.workflow


def test_fewer_cores_than_threads_train_the_same_weights(checkout):
    states = []
    for cores in (1, 2):
        run = f"cores{cores}"
        config = checkout.config(
            run=run, threads={"train": 2}, models={"cnn": {"epochs": 1, "batch_size": 256}}
        )
        target = f"results/{run}/models/cnn/weights.pt"
        done = checkout.snakemake(target, config=config, cores=cores)
        assert done.returncode == 0, done.stdout
        assert "device cpu, 2 threads" in done.stdout
        states.append(read_state(checkout.folder / target))
    one, two = states
    assert all((one[name] == two[name]).all() for name in one)
