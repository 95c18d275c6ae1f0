"""Several contracts: upstream first, falls along, and no raise that an upstream has no room for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from headway.contract.model import Contract
from headway.ramp.curve import curve_of
from headway.ramp.decisions import Decisions
from headway.ramp.joint import exposure_micro, no_room
from headway.ramp.links import links_of
from headway.ramp.machine import apply_first
from headway.ramp.observations import ClockSuspect, EventSeen, Observation
from headway.ramp.settle import settle
from headway.ramp.state import RampState
from tests.ramp.ramps import DAY, FIRST, HOUR, T0, TERMS, UNIT, contract, instant, override, second, verb_call


class Fleet:
    """Several ramps, settled together."""

    def __init__(self, *contracts: Contract) -> None:
        self.contracts = {one.name: one for one in contracts}
        self.links = links_of(self.contracts)
        self.states: dict[str, RampState] = {}
        for one in contracts:
            self.states[one.name] = apply_first(one, "digest", TERMS, 1, "user:ada", T0).state
        self.last: dict[str, Decisions] = {}

    def at(
        self, after_ms: int, told: Mapping[str, Sequence[Observation]] | None = None, *, suspect: bool = False
    ) -> "Fleet":
        observations = dict.fromkeys(self.contracts, ()) if told is None else told
        clock = ClockSuspect(T0 + after_ms, True, "it jumped") if suspect else None
        self.last = settle(
            self.contracts, self.states, T0 + after_ms, observations, calendars={}, clock=clock, links=self.links
        )
        self.states.update({name: decided.state for name, decided in self.last.items()})
        return self

    def event(self, after_ms: int, *names: str, type: str = "ready", id: str = "1") -> "Fleet":
        return self.at(after_ms, {name: (EventSeen(T0 + after_ms, id, "ci", type, "event:ci"),) for name in names})

    def stages(self) -> dict[str, str]:
        return {name: self.contracts[name].ramp[state.stage].name for name, state in self.states.items()}

    def levels(self) -> dict[str, int]:
        curves = {name: curve_of(self.contracts[name], state, T0) for name, state in self.states.items()}
        return {name: int(curve.highest_micro("", T0 + 100 * DAY) // UNIT) for name, curve in curves.items()}


def cluster(**fields: Any) -> Contract:
    """An upstream of 100, then 200 on the event `ready`."""
    return contract(FIRST, second(event="ready"), name="cluster", **fields)


def spender(name: str, first: str, then: str, spends: str = "1", retries: int = 0, **when: Any) -> Contract:
    """A contract that spends the cluster."""
    spend = {"contract": "cluster", "spends": spends, "retries": retries}
    return contract({"stage": "one", "limit": first}, second(limit=then, **when), name=name, upstream=[spend])


def test_upstream_first_then_those_who_require_it_in_one_settling() -> None:
    """The event opens the cluster's second stage; web, which requires it, follows in the same transaction."""
    fleet = Fleet(cluster(), spender("web", "50", "150", requires={"cluster": "two"})).at(1)

    fleet.event(HOUR, "cluster")

    assert {"cluster": "two", "web": "two"} == fleet.stages()
    assert {"cluster", "web"} == set(fleet.last)


def test_a_chain_falls_along_in_one_settling() -> None:
    """c requires b, b requires a: a is aborted, and all three are down in one transaction."""
    a = contract(FIRST, second(event="ready"), name="a")
    b = contract(FIRST, second(requires={"a": "two"}), name="b")
    c = contract(FIRST, second(requires={"b": "two"}), name="c")
    fleet = Fleet(c, b, a).event(1, "a")
    assert {"a": "two", "b": "two", "c": "two"} == fleet.stages()

    fleet.at(2, {"a": (verb_call(2, "abort"),)})

    assert {"a": "one", "b": "one", "c": "one"} == fleet.stages()
    assert {"aborted", "fell"} == {entry.kind for decided in fleet.last.values() for entry in decided.entries}


def test_a_contract_nobody_links_to_is_left_alone() -> None:
    fleet = Fleet(cluster(), contract(FIRST, name="alone")).event(1, "cluster")

    assert {"cluster"} == set(fleet.last)


def test_a_raise_that_the_upstream_has_no_room_for_waits_and_is_made_when_there_is() -> None:
    """100 carry 50 + 50. Web's raise to 100 waits; the cluster grows to 200, and web is raised in the same settling."""
    fleet = Fleet(cluster(), spender("web", "50", "100", event="go"), spender("api", "50", "60", event="never"))

    fleet.event(1, "web", type="go")
    assert {"cluster": "one", "web": "one", "api": "one"} == fleet.stages()
    assert fleet.last["web"].curve is not None and "upstream cluster is full" in fleet.last["web"].curve.raises_when
    assert fleet.last["web"].wake_at_ms is None

    fleet.event(2, "cluster")
    assert {"cluster": "two", "web": "two", "api": "one"} == fleet.stages()


def test_room_that_another_spender_gives_up_is_used() -> None:
    """Web waits; api is overridden from 50 to 0, and web follows."""
    fleet = Fleet(cluster(), spender("web", "50", "100", event="go"), spender("api", "50", "60", event="never"))
    fleet.event(1, "web", type="go")

    fleet.at(2, {"api": (override(2, 0, DAY),)})
    assert "two" == fleet.stages()["web"]

    fleet.at(2 * DAY)
    assert 0 == fleet.levels()["api"]


def test_of_two_spenders_that_fit_alone_only_one_is_raised() -> None:
    """Room for one more 50: whichever trigger fires first, the sum stays within 100."""
    for order in (("web", "api"), ("api", "web")):
        fleet = Fleet(cluster(), spender("web", "25", "75", event="go"), spender("api", "25", "75", event="go"))
        for number, name in enumerate(order, 1):
            fleet.event(number, name, type="go")

        levels = fleet.levels()
        assert (75, 25) == (levels[order[0]], levels[order[1]])


def test_a_raise_by_override_is_refused_without_room() -> None:
    fleet = Fleet(cluster(), spender("web", "50", "100", event="go"), spender("api", "50", "60", event="never"))

    fleet.at(1, {"web": (override(1, 80, DAY, second="user:bob"),)})

    assert ["refused"] == [entry.kind for entry in fleet.last["web"].entries]
    assert 50 == fleet.levels()["web"]


def test_falls_always_proceed_even_while_the_upstream_is_over() -> None:
    """The cluster is overridden to 10 while 100 are promised: exposure 90, and a spender's cut is not checked."""
    fleet = Fleet(cluster(), spender("web", "50", "100", event="go"), spender("api", "50", "60", event="never"))
    fleet.at(1, {"cluster": (override(1, 10, DAY),)})

    assert {"": 90 * UNIT} == exposure_micro(fleet.contracts, fleet.states, fleet.links, "cluster", T0 + 1)
    fleet.at(2, {"web": (override(2, 20, DAY),)})
    assert 20 == fleet.levels()["web"]


def test_a_suspect_clock_lets_nothing_rise_in_a_cascade() -> None:
    fleet = Fleet(cluster(), spender("web", "50", "100", requires={"cluster": "two"}, not_before=instant(HOUR)))
    fleet.at(HOUR, {"cluster": (EventSeen(T0 + HOUR, "1", "ci", "ready", "event:ci"),)}, suspect=True)

    assert {"cluster": "one", "web": "one"} == fleet.stages()
    assert {"cluster": "two", "web": "two"} == fleet.at(HOUR + 1).stages()


def test_an_upstream_is_weighed_at_its_lowest_decided_level() -> None:
    """Within a day of an exception to 60, the cluster carries 60: web's raise from 50 to 80 waits until it is over."""
    moved = {"during": f"{instant(12 * HOUR)}/{instant(14 * HOUR)}", "limit": "60", "reason": "move"}
    fleet = Fleet(cluster(exceptions=[moved]), spender("web", "50", "80", event="go"))
    fleet.at(1)

    assert "one" == fleet.event(HOUR, "web", type="go").stages()["web"]
    fleet.at(12 * HOUR, {"cluster": ()})
    assert "one" == fleet.stages()["web"]
    fleet.at(14 * HOUR, {"cluster": ()})
    assert "two" == fleet.stages()["web"]


def room(upstream: Contract, spending: Contract) -> bool:
    """Whether the spender may enter its second stage on the upstream's first."""
    fleet = Fleet(upstream, spending).event(1, spending.name, type="go")
    return fleet.stages()[spending.name] == "two"


def test_weights_are_spends_times_one_and_its_retries() -> None:
    """Twice 0.25 is 0.5: 200 fit into 100, 200.01 do not."""
    assert room(cluster(), spender("web", "50", "200", "0.25", retries=1, event="go"))
    assert not room(cluster(), spender("web", "50", "200.01", "0.25", retries=1, event="go"))


def test_over_subscription_is_a_declared_ratio() -> None:
    constraint = {
        "measure": "rate",
        "unit": "request",
        "per": "1s",
        "oversubscribe": "1.5",
        "because": "never all at once",
    }

    assert room(cluster(constraint=constraint), spender("web", "50", "150", event="go"))
    assert not room(cluster(constraint=constraint), spender("web", "50", "150.000001", event="go"))


def test_rates_of_other_periods_are_brought_to_one() -> None:
    """6,000 a minute are 100 a second."""
    constraint = {"measure": "rate", "unit": "request", "per": "1m"}
    for limit, fits in (("6000", True), ("6000.000001", False)):
        spend = [{"contract": "cluster", "spends": "1"}]
        web = contract(
            {"stage": "one", "limit": "50"},
            second(limit=limit, event="go"),
            name="web",
            constraint=constraint,
            upstream=spend,
        )
        assert fits == room(cluster(), web)


def test_keys_weigh_their_number_and_scales_or_their_total() -> None:
    """Ten teams of 10, one scaled by 2: 110. With a total of 100 it is 100."""
    spend = [{"contract": "cluster", "spends": "1"}]
    keyed = {"key": "team", "count": "10", "scale": {"search": "2"}}
    stages = ({"stage": "one", "limit": "1"}, second(limit="10", event="go"))

    assert not room(cluster(), contract(*stages, name="web", upstream=spend, each=keyed))
    assert room(cluster(), contract(*stages, name="web", upstream=spend, each={**keyed, "total": "100"}))
    tenth = ({"stage": "one", "limit": "1"}, second(limit="9.09", event="go"))
    assert room(cluster(), contract(*tenth, name="web", upstream=spend, each=keyed))


def test_a_rate_needs_its_burst_and_its_longest_hold_of_a_concurrency() -> None:
    """20 a second, held up to 2 s, with a burst of 0.5 s: 10 + 40 = 50 slots; 21 would need 52.5."""
    pool = contract({"stage": "one", "limit": "50"}, name="cluster", constraint={"measure": "concurrency"})
    constraint = {"measure": "rate", "unit": "request", "per": "1s", "burst": "500ms"}
    for limit, fits in (("20", True), ("21", False)):
        web = contract(
            {"stage": "one", "limit": "1"},
            second(limit=limit, event="go"),
            name="web",
            constraint=constraint,
            upstream=[{"contract": "cluster", "spends": "2"}],
        )
        assert fits == room(pool, web)


def test_measures_that_do_not_meet_are_never_raised() -> None:
    """A concurrency that spends a rate cannot be weighed: no evidence, no advance."""
    web = contract(
        {"stage": "one", "limit": "1"},
        second(limit="2", event="go"),
        name="web",
        constraint={"measure": "concurrency"},
        upstream=[{"contract": "cluster", "spends": "1"}],
    )

    assert not room(cluster(), web)


def test_a_quota_of_other_windows_counts_once_more() -> None:
    """50 a day in another zone may be spent twice within one of the upstream's days."""
    quota = {"measure": "quota", "unit": "call", "per": "day"}
    whole = contract({"stage": "one", "limit": "100"}, name="cluster", constraint=quota)
    for zone, fits in (("UTC", True), ("Asia/Tokyo", False)):
        web = contract(
            {"stage": "one", "limit": "1"},
            second(limit="51", event="go"),
            name="web",
            constraint={**quota, "zone": zone},
            upstream=[{"contract": "cluster", "spends": "1"}],
        )
        assert fits == (room(whole, web))


def test_a_ramp_that_is_over_spends_what_its_last_curve_admits() -> None:
    """Api is aborted at 50, then retired: its limit stays, so web's raise to 100 still has no room until it is gone."""
    fleet = Fleet(cluster(), spender("web", "50", "100", event="go"), spender("api", "50", "60", event="never"))
    fleet.at(1, {"api": (verb_call(1, "abort"), verb_call(1, "retire"))}).event(2, "web", type="go")
    assert ("one", "retired") == (fleet.stages()["web"], fleet.states["api"].status)

    del fleet.states["api"]
    assert "two" == fleet.at(3, {"web": ()}).stages()["web"]


def test_a_contract_is_not_retired_while_something_spends_it() -> None:
    """Web spends the cluster: its retirement is refused with who; once web is retired, it is done."""
    fleet = Fleet(cluster(), spender("web", "50", "60", event="go")).at(1, {"cluster": (verb_call(1, "retire"),)})
    assert "HW508: cluster cannot be retired: it is spent by web" == fleet.states["cluster"].not_counted[-1].why

    fleet.at(2, {"web": (verb_call(2, "retire"),), "cluster": ()}).at(3, {"cluster": (verb_call(3, "retire"),)})
    assert ("retired", "retired") == (fleet.states["web"].status, fleet.states["cluster"].status)


def test_nothing_rises_on_an_upstream_that_is_retired() -> None:
    """Retired before web was applied: web's raise finds no supply."""
    fleet = Fleet(cluster(), spender("web", "50", "60", event="go"))
    fleet.states["cluster"] = replace(fleet.states["cluster"], status="retired")

    assert "one" == fleet.event(2, "web", type="go").stages()["web"]


def test_a_first_version_is_checked_like_any_move() -> None:
    """Before a contract runs its weight is nothing; the room it asks for is its first stage's."""
    fleet = Fleet(cluster(), spender("web", "50", "60", event="go"))
    for limit, fits in (("50", True), ("51", False)):
        contracts = {**fleet.contracts, "api": spender("api", limit, "200", event="go")}
        after = apply_first(contracts["api"], "d", TERMS, 1, "user:ada", T0).state

        assert fits == (no_room(contracts, fleet.states, links_of(contracts), "api", after, T0) is None)


def test_ranks_put_what_is_required_first_and_survive_long_chains_and_cycles() -> None:
    """5,000 contracts in a chain, each requiring the one before; and two that require each other."""
    chain = {
        f"c{n}": contract(FIRST, second(requires={f"c{n - 1}": "one"}) if n else FIRST | {"stage": "z"}, name=f"c{n}")
        for n in range(3000)
    }
    rank = links_of(chain).rank
    assert all(rank[f"c{n - 1}"] < rank[f"c{n}"] for n in range(1, 3000))

    cycle = {
        name: contract(FIRST, second(requires={other: "one"}), name=name) for name, other in (("a", "b"), ("b", "a"))
    }
    assert {"a", "b"} == set(links_of(cycle).rank)
