import importlib.util
import re
import subprocess
import sys

import pytest

import deis.cli
from deis import __version__


@pytest.mark.parametrize("words", ["-h", "list -h", "sample --help", "solve -h", "compare -h"])
def test_help_has_an_example(deis, words):
    result = deis(words)
    assert result.exit_code == 0
    assert re.search(r"Examples?:\n +deis ", result.stdout)


def test_version(deis):
    assert __version__ in deis("--version").stdout


def test_unknown_commands_show_near_misses(deis):
    result = deis("sampel")
    assert result.exit_code == 2
    assert "no command named 'sampel'; near it: sample" in result.stderr


def test_unknown_options_show_near_misses(deis):
    result = deis("sample --integator tab3")
    assert result.exit_code == 2
    assert "--integator" in result.stderr
    assert "--integrator" in result.stderr


@pytest.mark.parametrize("missing", ["cattrs", "click", "jinja2", "matplotlib"])
def test_missing_extras_are_named_with_the_way_to_get_them(monkeypatch, missing):
    find = importlib.util.find_spec
    monkeypatch.setattr(deis.cli, "find_spec", lambda name: None if name == missing else find(name))
    with pytest.raises(SystemExit) as failure:
        deis.cli.main()
    assert failure.value.code == f"error: the command line needs {missing}; pip install 'torch-deis[study]'"


def test_main_runs_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["deis", "list", "models"])
    with pytest.raises(SystemExit) as ended:
        deis.cli.main()
    assert ended.value.code == 0
    assert "digits-exact" in capsys.readouterr().out


def test_it_runs_as_a_module():
    result = subprocess.run([sys.executable, "-m", "deis", "list", "models"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert "digits-exact" in result.stdout
