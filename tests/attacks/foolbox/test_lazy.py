"""Foolbox's modules one by one: what a job loads, and that Foolbox is whole as soon as it is asked for more."""

import subprocess
import sys

import pytest
from configs import ROOT

HEAVY = ("numba", "scipy", "git", "requests", "pandas", "matplotlib", "sklearn")
BUILDERS = ("gradient", "transfer", "foolbox.minimum_norm", "foolbox.bridge", "brendel_bethge", "boundary")


def run(code: str) -> str:
    """What a new Python prints that finds the library."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Of each of BUILDERS in turn, the top-level packages that are imported once it is."""
    code = f"""if True:
        import sys
        from importlib import import_module
        for name in {BUILDERS}:
            import_module("absynth.attacks." + name)
            print(name, *{{module.partition(".")[0] for module in sys.modules}})
    """
    lines = [line.split() for line in run(code).splitlines()]
    return {name: set(modules) for name, *modules in lines}


@pytest.mark.parametrize("name", BUILDERS)
def test_attacks_load_no_more_than_they_use(name, loaded):
    assert not loaded[name] & set(HEAVY)


def test_foolbox_is_whole_when_it_is_asked_for_more():
    code = """if True:
        from absynth.attacks.foolbox.minimum_norm import HopSkipJumpAttack, L2CarliniWagnerAttack
        import foolbox
        assert foolbox.attacks.HopSkipJumpAttack is HopSkipJumpAttack
        assert foolbox.attacks.L2CarliniWagnerAttack is L2CarliniWagnerAttack
        assert foolbox.attacks.FGSM is foolbox.attacks.LinfFastGradientAttack
        assert foolbox.Misclassification is foolbox.criteria.Misclassification
        assert foolbox.zoo.get_model
        for package in (foolbox, foolbox.attacks):
            try:
                package.nothing
            except AttributeError as error:
                print(error)
        print(foolbox.__version__, type(foolbox.attacks.L0BrendelBethgeAttack()).__name__)
    """
    assert run(code).splitlines() == [
        "module 'foolbox' has no attribute 'nothing'",
        "module 'foolbox.attacks' has no attribute 'nothing'",
        "3.3.4 L0BrendelBethgeAttack",
    ]


def test_every_module_of_foolbox_can_be_the_first():
    code = """if True:
        import pkgutil, sys
        from importlib import import_module, reload
        import absynth.attacks
        import foolbox
        names = [name for _, name, _ in pkgutil.iter_modules(foolbox.attacks.__path__, "foolbox.attacks.")]
        for name in names:
            for known in [known for known in sys.modules if known.partition(".")[0] == "foolbox"]:
                del sys.modules[known]
            reload(absynth.attacks)
            module = import_module(name)
            assert sys.modules["foolbox.attacks"].FGSM
            assert sys.modules[name] is module
        print(len(names))
    """
    assert int(run(code)) > 20
