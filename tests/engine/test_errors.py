"""Every error has a code of its own, says how to mend, and survives a pickle."""

from __future__ import annotations

import inspect
import pickle

import pytest

from headway import errors
from headway.errors import HeadwayError, UnknownContract

CLASSES = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, HeadwayError)]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_survives_a_pickle(kind: type[HeadwayError]):
    """All five fields, and its class."""
    error = kind("it broke", because="of that", mend="do this", where="api", code="HW599")

    again = pickle.loads(pickle.dumps(error))

    assert kind is type(again)
    assert error.as_json() == again.as_json()
    assert str(error) == str(again)


def test_codes_are_not_shared():
    """One code, one kind of mistake; parents that are never raised share the plainest."""
    own = [kind.default_code for kind in CLASSES if "default_code" in vars(kind)]

    assert len(own) == len(set(own))


def test_an_unknown_name_is_told_the_nearest_and_is_not_echoed_whole():
    """Nearest first; without any, what there is; a name of a megabyte is cut."""
    assert "did you mean `orders-db`?" == UnknownContract.of("order-db", ["orders-db", "api"]).mend
    assert "there are: api, orders-db" == UnknownContract.of("zzz", ["orders-db", "api"]).mend
    assert "headway apply" in UnknownContract.of("zzz", []).mend
    assert len(UnknownContract.of("z" * 1_000_000, ["api"]).problem) < 200


def test_an_error_reads_like_a_finding():
    """Code and problem, where, because, mend."""
    error = HeadwayError("it broke", because="of that", mend="do this", where="api", code="HW599")

    assert "error[HW599]: it broke\n  --> api\n   | of that\n   = mend: do this" == str(error)
    assert "error[HW500]: it broke" == str(HeadwayError("it broke"))
