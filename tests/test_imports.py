"""The garbage collector rests while a command imports, and only then."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from petl_ast.imports import quick_imports


class Ring:
    """Refers to itself: only the garbage collector can free it."""

    def __init__(self) -> None:
        self.ring = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector to the other tests as it was."""
    gc.enable()
    yield
    gc.enable()
    gc.unfreeze()


def test_garbage_made_afterwards_is_collected() -> None:
    with quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    ring = weakref.ref(Ring())
    gc.collect()
    assert ring() is None


def test_an_import_that_fails_leaves_the_collector_on() -> None:
    with pytest.raises(ModuleNotFoundError), quick_imports():
        import no_such_module  # noqa: F401
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with quick_imports():
        pass
    assert not gc.isenabled()
