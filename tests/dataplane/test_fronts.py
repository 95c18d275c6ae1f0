"""What fronts need of the check beside an answer: headers of their own."""

from __future__ import annotations

import httpx
import pytest

from tests.dataplane.conftest import GATE, House


def test_a_refusal_names_its_ref_in_a_header_too(house: House) -> None:
    """A front that hands on no body still tells where the story is."""
    house.rate("api", 1)
    house.check("api", house.limiter("api"))
    with house.http() as front:
        front.get("/check/api")
        plain, nginx = front.get("/check/api"), front.get("/check/api", params={"dialect": "nginx"})

    assert plain.headers["headway-ref"] == plain.json()["ref"]
    assert (403, b"", "0") == (nginx.status_code, nginx.content, nginx.headers["content-length"])
    assert "content-type" not in nginx.headers
    assert house.meters.story(nginx.headers["headway-ref"]) is not None


@pytest.mark.parametrize(("dialect", "status"), [({}, 429), ({"dialect": "nginx"}, 403)])
def test_a_test_is_refused_and_charges_nothing(house: House, dialect: dict[str, str], status: int) -> None:
    house.rate("api", 1)
    house.check("api", limiter := house.limiter("api"))
    with house.http() as front:
        tested = front.get("/check/api", params=dialect, headers={"headway-test": "refuse"})
        after = front.get("/check/api")
        unknown = front.get("/check/no-such", headers={"headway-test": "refuse"})

    assert (status, "1", "test") == (tested.status_code, tested.headers["retry-after"], tested.headers["headway-ref"])
    assert (200, 404) == (after.status_code, unknown.status_code)
    assert 0 == limiter.reading().refused


def test_our_own_authorization_stands_beside_the_clients(house: House) -> None:
    """A front that leaves `Authorization` to its client says who it is in `Headway-Authorization`."""
    house.rate("api", 10)
    house.check("api", house.limiter("api"))
    mine = {"authorization": "Basic a-clients-own"}
    with httpx.Client(base_url=f"http://127.0.0.1:{house.port}", trust_env=False, headers=mine) as front:
        without = front.get("/check/api").status_code
        beside = front.get("/check/api", headers={"headway-authorization": f"Bearer {GATE}"}).status_code
        unknown = front.get("/check/api", headers={"headway-authorization": "Bearer nobody"}).status_code

    assert (401, 200, 401) == (without, beside, unknown)
