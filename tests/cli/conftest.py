import pytest
from click.testing import CliRunner

from deis.cli.root import cli
from deis.diffusion.mixture import GaussianMixture


@pytest.fixture
def deis():
    """Run a command line, given as words in one string or as a list."""

    def run(words, *more):
        return CliRunner().invoke(cli, [*words.split(), *map(str, more)])

    return run


@pytest.fixture
def no_network(monkeypatch):
    """Let every network call fail the test."""

    def network(self, schedule, predicts="eps"):
        def called(x, t):
            raise AssertionError("the network was called")

        return called

    monkeypatch.setattr(GaussianMixture, "network", network)
