"""What the package promises at its edge: one version, one address, a silent and light import."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml

import mmtutor
from book.tools.layout import ROOT
from book.tools.sync import FIRST_CELL
from mmtutor.notebook.show import BRANCH, REPOSITORY

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What everybody installs: JupyterLab, trackers and other frameworks are for those who ask for them.
APART = ("frameworks", "live", "search", "watch")
EXTRAS = {k: v for k, v in PROJECT["optional-dependencies"].items() if k not in APART}
HEAVY = ("datasets", "matplotlib", "resvg_py", "transformers", "wordllama")


def yaml_file(name):
    return yaml.safe_load((ROOT / name).read_text())


def specifications():
    extras = PROJECT["optional-dependencies"].values()
    return [spec for group in (PROJECT["dependencies"], *extras) for spec in group]


def test_one_version():
    assert mmtutor.__version__ == PROJECT["version"] == yaml_file("CITATION.cff")["version"]


def test_one_repository_address():
    repository = PROJECT["urls"]["Repository"]
    config = yaml_file("book/_config.yml")["repository"]
    assert repository == REPOSITORY == config["url"] == yaml_file("CITATION.cff")["repository-code"]
    assert f"git+{repository}" in FIRST_CELL
    assert config["branch"] == BRANCH


def test_only_lower_bounds_but_for_jupyter_book():
    upper = [spec for spec in specifications() if re.search(r"<|==|~=", spec)]
    assert [spec.partition(">")[0] for spec in upper] == ["jupyter-book"]
    assert "torch>=2.10" in PROJECT["dependencies"]


def test_conda_readers_get_the_same():
    conda = yaml_file("environment.yml")["dependencies"]
    assert f"python{PROJECT['requires-python']}" in conda
    installed = " ".join(next(entry for entry in conda if isinstance(entry, dict))["pip"])
    extras = ",".join(sorted(EXTRAS))
    assert installed == f"--constraint constraints.txt --editable .[{extras}]"
    assert f"EXTRAS := {extras}\n" in (ROOT / "Makefile").read_text()


def test_constraints_are_exact_and_leave_cuda_to_torch():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert not [pin for pin in pins if re.match(r"nvidia|cuda|triton", pin)]
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    groups = PROJECT["dependencies"], *EXTRAS.values()
    wanted = {re.split(r"[<>]", spec)[0] for group in groups for spec in group}
    assert wanted <= pinned


@pytest.mark.parametrize("module", ["mmtutor", "mmtutor.data", "mmtutor.notebook"])
def test_importing_is_silent_and_leaves_heavy_libraries_alone(module):
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
