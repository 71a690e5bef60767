"""All entries, and which public names need none."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from types import ModuleType

PARTS = ("data", "losses", "fusion", "evaluation", "explain", "training")


def entries() -> list:
    """The ENTRIES of every module of this folder."""
    return [entry for module in _modules() for entry in module.ENTRIES]


def exempt() -> dict[str, str]:
    """Dotted name -> why it needs no entry, from the EXEMPT of every module of this folder."""
    reasons = [getattr(module, "EXEMPT", {}) for module in _modules()]
    return {name: why for some in reasons for name, why in some.items()}


def public() -> set[str]:
    """Dotted names of all public functions and classes of the parts.

    Left out are what holds results and computes nothing (named tuples), errors and protocols.
    """
    found = set()
    for part in PARTS:
        package = importlib.import_module(f"mmtutor.{part}")
        for module in pkgutil.walk_packages(package.__path__, f"mmtutor.{part}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                own = getattr(value, "__module__", None) == module.name and not name.startswith("_")
                if own and (inspect.isfunction(value) or _computes(value)):
                    found.add(f"{module.name}.{name}")
    return found


def _modules() -> list[ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return [importlib.import_module(f"{__name__}.{name}") for name in names]


def _computes(value: object) -> bool:
    return (
        inspect.isclass(value)
        and not issubclass(value, BaseException)
        and not hasattr(value, "_fields")
        and not getattr(value, "_is_protocol", False)
        and not typing.is_typeddict(value)
    )


def missing() -> set[str]:
    """Public names that have neither an entry nor a reason."""
    named = {entry.name for entry in entries()}
    # a method's entry stands for itself only; a class needs one of its own
    return public() - named - set(exempt())
