"""Decisions: limits, cool-down, dry run, and that nothing else decides but the arguments."""

import itertools
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.daemon.events import Action
from pyctl.daemon.policy.engine import decide
from pyctl.daemon.policy.state import REGIONS, State
from tests.pyctl.daemon.policy.making import (
    DAY,
    HOUR,
    NOW,
    event,
    looks,
    policy,
    reading,
    rule,
    spare,
)

ALWAYS = "{health: {at-least: 0}}"


def verdicts(found):
    return [[one.verdict.value for one in each] for each in found]


def only(found):
    ((one,),) = found
    return one


def test_a_rule_acts_rests_and_acts_again():
    made = policy(rule("{health: {below: 50}}", more="cool-down: 10m"))
    low = reading(health=40)
    turns = (NOW, [low]), (NOW + 1, []), (NOW + 599, []), (NOW + 600, [])
    found, _ = looks(made, *turns)
    assert verdicts(found) == [["act"], ["cooling-down"], ["cooling-down"], ["act"]]
    assert found[1][0].why.endswith("and rests for 9m59s more")


def test_every_device_has_a_cool_down_of_its_own():
    made = policy(rule("{health: {below: 50}}"))
    found, _ = looks(
        made, (NOW, [reading(health=1, device="a")]), (NOW + 1, [reading(health=1, device="b")])
    )
    assert verdicts(found) == [["act"], ["act"]]


def test_events_are_a_matter_of_their_devices_and_time_of_all():
    made = policy(rule(ALWAYS, more="cool-down: 1s"))
    told = [reading(health=1, device=name) for name in "ab"]
    found, _ = looks(made, (NOW, told), (NOW + 5, [event("lost", device="b")]), (NOW + 9, []))
    assert [[one.device for one in each] for each in found] == [["a", "b"], ["b"], ["a", "b"]]


def test_a_limit_of_a_rule():
    made = policy(rule(ALWAYS, more="cool-down: 1s\n  limit: {times: 2, within: 1h}"))
    turns = [(NOW, [reading(health=1)])]
    turns += [(NOW + after, []) for after in (10, 20, HOUR - 1, HOUR)]
    found, _ = looks(made, *turns)
    assert verdicts(found) == [["act"], ["act"], ["limited"], ["limited"], ["act"]]
    assert found[2][0].why == "it acted 2 times within 1h already"


def test_a_limit_of_the_policy_leaves_the_message():
    head = "limits: [{times: 1, within: 1h, actions: [scan]}]"
    do = "- scan: {}\n  - notify: {text: look}"
    made = policy(rule(ALWAYS, do, "cool-down: 1s"), head)
    found, _ = looks(made, (NOW, [reading(health=1)]), (NOW + 5, []))
    assert [one.outcome.value for one in found[0][0].steps] == ["act", "act"]
    assert [one.outcome.value for one in found[1][0].steps] == ["limited", "act"]
    assert found[1][0].steps[0].why == "the limit of 1 within 1h is reached"


def test_the_first_rule_has_the_first_claim():
    head = "limits: [{times: 1, within: 1h}]"
    rules = rule(ALWAYS, "- scan: {}", name="b") + rule(ALWAYS, "- relocate: {}", name="a")
    made = policy(rules, head)
    told = [reading(health=1), event("weak-region", sector=8, sectors=8)]
    found, _ = looks(made, (NOW, told))
    assert [(one.rule, one.verdict.value) for one in found[0]] == [("b", "act"), ("a", "limited")]


def test_a_limit_for_each_device():
    head = "limits: [{times: 1, within: 1h, per: device}]"
    made = policy(rule(ALWAYS, more="cool-down: 1s"), head)
    told = [reading(health=1, device=name) for name in "ab"]
    found, _ = looks(made, (NOW, told), (NOW + 5, []))
    assert verdicts(found) == [["act", "act"], ["limited", "limited"]]


@pytest.mark.parametrize("whose", ["rule", "policy"])
def test_a_dry_run_says_what_it_would_do(whose):
    made = policy(
        rule(ALWAYS, more="dry-run: true" if whose == "rule" else ""),
        "dry-run: true" if whose == "policy" else "",
    )
    found, _ = looks(made, (NOW, [reading(health=1)]), (NOW + 1, []))
    assert verdicts(found) == [["dry-run"], ["cooling-down"]]
    assert found[0][0].acts == ()
    assert found[0][0].steps[0].parameters == {"pattern": "sequential"}


def test_a_dry_run_costs_the_others_nothing():
    head = "limits: [{times: 1, within: 1h}]"
    made = policy(rule(ALWAYS, more="dry-run: true", name="dry") + rule(ALWAYS, name="wet"), head)
    found, _ = looks(made, (NOW, [reading(health=1)]))
    assert [one.verdict.value for one in found[0]] == ["dry-run", "act"]


def test_what_is_not_enabled():
    found, _ = looks(policy(rule(ALWAYS, more="enabled: false")), (NOW, [reading(health=1)]))
    assert only(found).verdict.value == "off"


def test_what_is_not_known_is_never_acted_on():
    for when in ("{temperature: {above: 1}}", "{not: {temperature: {above: 1}}}"):
        found, _ = looks(policy(rule(when)), (NOW, [reading(health=1)]))
        assert only(found).verdict.value == "not-known"


def test_devices_by_pattern():
    made = policy(rule(ALWAYS, more="devices: ['srv*', db]"))
    found, _ = looks(made, (NOW, [reading(health=1, device=d) for d in ("db", "db2", "srv1")]))
    assert [one.device for one in found[0]] == ["db", "srv1"]


def test_a_set_that_was_stopped_in_order_is_let_alone_until_it_is_heard_again():
    made = policy(rule("{silent: 5m}") + rule("{event: [set-stopped]}", name="stopped"))
    stop, start = event("set-stopped"), event("set-started", NOW + HOUR)
    turns = (NOW, [stop]), (NOW + 900, []), (NOW + HOUR, [start]), (NOW + HOUR + 300, [])
    found, _ = looks(made, *turns)
    assert verdicts(found) == [["not-met", "act"], [], ["not-met"] * 2, ["act", "not-met"]]


def test_what_two_rules_want_at_once_is_done_once():
    made = policy(rule(ALWAYS, name="a") + rule(ALWAYS, "- scan: {pattern: random}", name="b"))
    found, _ = looks(made, (NOW, [reading(health=1)]))
    assert [one.steps[0].outcome.value for one in found[0]] == ["act", "repeated"]


def test_what_is_under_way_is_not_begun_again():
    made = policy(rule(ALWAYS, more="cool-down: 1s"))
    begun, ended = (event(kind, action="scan") for kind in ("action-started", "action-done"))
    found, _ = looks(made, (NOW, [reading(health=1), begun]), (NOW + 9, [ended]))
    assert [one[0].verdict.value for one in found] == ["blocked", "act"]
    assert found[0][0].why == "scan: it is under way already"


def parameters(do, *events, head=""):
    found, _ = looks(policy(rule(ALWAYS, do), head), (NOW, [reading(health=1), *events]))
    (step,) = only(found).steps
    return step.parameters or step.why


def test_which_sectors_are_moved():
    told = [
        event("read-error", NOW - 10, sector=100, sectors=8),
        event("read-error", sector=108, sectors=8),
        event("read-error", sector=64),
        event("read-error", NOW - HOUR, sector=7),
        event("write-error", sector=9),
    ]
    assert parameters("- remap: {}", *told) == {"ranges": [[64, 1], [100, 16]], "left_out": 0}
    some = "- remap: {at-most: 5, of: [read-error, write-error]}"
    assert parameters(some, *told) == {"ranges": [[9, 1], [64, 1], [100, 3]], "left_out": 13}
    assert parameters("- relocate: {}", *told) == "no event of the last 1d named a sector"


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 40)), min_size=1, max_size=REGIONS),
    st.integers(1, 300),
)
def test_ranges_are_those_that_were_named(named, at_most):
    told = [event("read-error", sector=s, sectors=n) for s, n in named]
    got = parameters(f"- remap: {{at-most: {at_most}}}", *told)
    wanted = sorted({one for s, n in named for one in range(s, s + n)})
    taken = [one for s, n in got["ranges"] for one in range(s, s + n)]
    assert taken == wanted[:at_most]
    assert got["left_out"] == len(wanted) - len(taken)


def test_which_spare_is_emptied():
    spares = [spare(0), spare(1, health=40, used=9), spare(2, "failed", health=1)]
    assert parameters("- evacuate: {}", reading(spares=spares)) == {"spare": 1}


@pytest.mark.parametrize(
    ("spares", "why"),
    [
        ([spare(0, health=1)], "there is no other spare in sync"),
        ([spare(0), spare(1, "failed")], "there is no other spare in sync"),
        ([spare(0, draining=True), spare(1), spare(2)], "a spare is being emptied already"),
        ([spare(0, health=1, used=9), spare(1, free=8)], "room for 8 blocks, and spare 0 has 9"),
    ],
)
def test_when_no_spare_can_be_emptied(spares, why):
    assert why in parameters("- evacuate: {}", reading(spares=spares))


def test_spares_come_from_a_pool_until_it_is_empty():
    made = policy(
        rule(ALWAYS, "- spare-add: {pool: shelf}", "cool-down: 1s"), "pools: {shelf: [/a, /b]}"
    )
    told = [reading(health=1, device=name) for name in "xyz"]
    (found,), state = looks(made, (NOW, told))
    assert [one.steps[0].parameters.get("device") for one in found] == ["/a", "/b", None]
    assert found[2].why == "spare-add: the pool shelf is empty"
    assert state.pool_used == {"/a", "/b"}


def test_texts_are_filled_in():
    do = "- notify: {severity: critical, text: '{device} {health} {temperature} {why} {{x}}'}"
    got = parameters(do)
    assert got["text"] == "d 1 not known health at least 0 (1) {x}"
    hook = "- hook: {program: /bin/x, arguments: ['--device={device}', $(reboot)]}"
    assert parameters(hook) == {
        "program": "/bin/x",
        "arguments": ["--device=d", "$(reboot)"],
        "timeout": 60,
        "again": False,
    }


def test_time_that_goes_back_stands_still():
    made = policy(rule(ALWAYS, more="cool-down: 10m"))
    found, state = looks(made, (NOW, [reading(health=1)]), (NOW - HOUR, []))
    assert verdicts(found) == [["act"], ["cooling-down"]]
    assert state.now == NOW


def test_an_event_from_the_future_is_one_of_now():
    made = policy(rule("{errors: {at-least: 1, within: 1m}}", more="cool-down: 1s"))
    future = event("read-error", NOW + 10 * DAY)
    found, _ = looks(made, (NOW, [future]), (NOW + 5, []), (NOW + 70, []))
    assert verdicts(found) == [["act"], ["act"], ["not-met"]]


# Random histories, against what is promised of every history.

DEVICES = ("a", "b")
RULES = f"""\
- name: errors
  when: {{errors: {{at-least: 3, within: 10m}}}}
  do: [{{scan: {{}}}}, {{remap: {{}}}}]
  cool-down: 7m
  limit: {{times: 3, within: 1h}}
- name: weak
  when: {{any: [{{health: {{below: 40}}}}, {{event: [spare-failed]}}]}}
  do: [{{evacuate: {{}}}}, {{spare-add: {{pool: p}}}}, {{notify: {{text: "{{why}}"}}}}]
  cool-down: 1m
- name: dry
  when: {ALWAYS}
  do: [{{scan: {{}}}}, {{hook: {{program: /bin/x}}}}]
  cool-down: 2m
  dry-run: true
- name: fleet
  scope: fleet
  when: {{devices: {{at-least: 2, within: 5m, where: {{health: {{below: 60}}}}}}}}
  do: [{{hook: {{program: /bin/y}}}}]
  cool-down: 3m
"""
HEAD = """\
pools: {p: [/1, /2, /3]}
limits:
- {times: 4, within: 30m}
- {times: 1, within: 15m, actions: [spare-add], per: device}
"""
RANDOM = policy(RULES, HEAD)

told = st.one_of(
    st.builds(
        lambda device, health, spares: {
            "kind": "reading",
            "device": device,
            "reading": {
                "health": health,
                "spares": [spare(n, health=h) for n, h in enumerate(spares)],
            },
        },
        st.sampled_from(DEVICES),
        st.integers(0, 100),
        st.lists(st.integers(0, 100), max_size=3),
    ),
    st.builds(
        lambda kind, device, sector, count: {
            "kind": kind,
            "device": device,
            "sector": sector,
            "count": count,
        },
        st.sampled_from(["read-error", "write-error", "spare-failed", "lost"]),
        st.sampled_from(DEVICES),
        st.integers(0, 99),
        st.integers(1, 3),
    ),
)
histories = st.lists(st.tuples(st.integers(0, 400), st.lists(told, max_size=4)), max_size=25)


def turns(history):
    """(time, events): pauses add up, and events of one look carry numbers."""
    now, seq, made = NOW, 0, []
    for pause, bodies in history:
        now += pause
        batch = []
        for body in bodies:
            seq += 1
            batch.append(event(body["kind"], now, **{**_rest(body), "seq": seq, "source": "k"}))
        made.append((now, batch))
    return made


def _rest(body):
    return {key: value for key, value in body.items() if key != "kind"}


def steps(found, outcome, *actions):
    """(time, device) of all steps with an outcome."""
    return [
        (one.time, one.device)
        for each in found
        for one in each
        for step in one.steps
        if step.outcome.value == outcome and (not actions or step.action in actions)
    ]


def most_within(times, within):
    """The most of these times that lie in any window [t, t + within)."""
    return max((sum(t <= u < t + within for u in times) for t in times), default=0)


@settings(max_examples=50)
@given(histories)
def test_limits_hold_in_every_window(history):
    found, _ = looks(RANDOM, *turns(history))
    changing = [one for one in Action if one is not Action.NOTIFY]
    for outcome in ("act", "dry-run"):
        acted = steps(found, outcome, *changing)
        assert most_within([time for time, _ in acted], 30 * 60) <= 4
    for device in DEVICES:
        added = [t for t, d in steps(found, "act", Action.SPARE_ADD) if d == device]
        assert most_within(added, 15 * 60) <= 1
        fired = [
            one.time
            for each in found
            for one in each
            if (one.rule, one.device, one.verdict.value) == ("errors", device, "act")
        ]
        assert most_within(fired, HOUR) <= 3


@settings(max_examples=50)
@given(histories)
def test_cool_down_holds(history):
    found, _ = looks(RANDOM, *turns(history))
    for each in RANDOM.rules:
        for device in (*DEVICES, "*"):
            fired = [
                one.time
                for decisions in found
                for one in decisions
                if (one.rule, one.device) == (each.name, device)
                and one.verdict.value in ("act", "dry-run")
            ]
            pauses = [b - a for a, b in itertools.pairwise(fired)]
            assert all(pause >= each.cool_down for pause in pauses)


@settings(max_examples=50)
@given(histories)
def test_a_dry_run_never_acts(history):
    found, state = looks(RANDOM, *turns(history))
    assert all(not one.acts for each in found for one in each if one.rule == "dry")
    dry = RANDOM.model_copy(update={"dry_run": True})
    found, state = looks(dry, *turns(history))
    assert all(not one.acts for each in found for one in each)
    assert state.pool_used == frozenset()


@settings(max_examples=50)
@given(histories)
def test_without_its_own_dry_runs_a_policy_decides_the_same(history):
    wet = RANDOM.model_copy(update={"rules": [one for one in RANDOM.rules if not one.dry_run]})
    with_dry, _ = looks(RANDOM, *turns(history))
    without, _ = looks(wet, *turns(history))
    kept = [tuple(one for one in each if one.rule != "dry") for each in with_dry]
    assert kept == without


@settings(max_examples=50)
@given(histories, st.randoms(use_true_random=False))
def test_decisions_depend_on_the_arguments_alone_and_not_on_the_order_within_a_look(
    history, chance
):
    made = turns(history)
    shuffled = [(now, chance.sample(batch, len(batch))) for now, batch in made]
    # another object of the same policy
    found, state = looks(policy(RULES, HEAD), *shuffled)
    expected, same = looks(RANDOM, *made)
    assert found == expected
    assert state == same


@settings(max_examples=50)
@given(histories)
def test_no_spare_is_given_away_twice(history):
    found, _ = looks(RANDOM, *turns(history))
    given_away = Counter(
        step.parameters["device"]
        for each in found
        for one in each
        for step in one.acts
        if step.action is Action.SPARE_ADD
    )
    assert all(count == 1 for count in given_away.values())


@settings(max_examples=50)
@given(histories)
def test_a_decision_is_told_whole_and_fits_into_json(history):
    found, _ = looks(RANDOM, *turns(history))
    for each in found:
        for one in each:
            plain = json.loads(json.dumps(one.plain(), allow_nan=False))
            assert plain["why"]
            assert plain["seen"]["truth"] in ("true", "false", "unknown")
            assert bool(plain["steps"]) == (
                plain["verdict"] in ("act", "dry-run", "blocked")
                or (plain["verdict"] == "limited" and "already" not in plain["why"])
            )
            assert all(
                step["why"] for step in plain["steps"] if step["outcome"] in ("limited", "blocked")
            )


@settings(max_examples=50)
@given(histories)
def test_a_decision_changes_nothing_that_it_was_given(history):
    state = State()
    for now, batch in turns(history):
        before = repr(state)
        later, _ = decide(state, RANDOM, batch, now)
        assert repr(state) == before
        state = later


def test_a_storm_takes_little_room():
    made = policy(
        rule("{errors: {at-least: 1000000, within: 30d}}")
        + rule("{errors: {at-least: 1000000, within: 1m}}", name="s")
    )
    state = State()
    for second in range(3000):
        storm = [event("write-error", NOW + second, sector=second * 8, count=1000)]
        state, _ = decide(state, made, storm, NOW + second)
    known = state.devices["d"]
    assert len(known.regions) == REGIONS
    assert all(len(tally.buckets) <= 514 for tally in known.tallies.values())
    assert known.tallies[("read-error", "write-error"), 30 * DAY].total(NOW + 3000) == 3_000_000
