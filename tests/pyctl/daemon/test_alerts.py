"""Alerts: told once, escalated, muted, acknowledged; and nothing twice after a kill."""

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.daemon.alerts import Alerts, AlertState, Level, Routes
from pyctl.daemon.senders import DoubtfulError, NotSentError, Severity
from pyctl.daemon.store import Store
from pyctl.errors import NotFoundError
from tests.pyctl.daemon.killing import KilledStore, folder, in_child, whole

MIN, HOUR, DAY = 60, 3600, 86_400
ROUTES = Routes(
    levels={
        Severity.INFO: (Level(0, ("journal",)),),
        Severity.WARNING: (Level(0, ("journal",)), Level(HOUR, ("mail",))),
        Severity.CRITICAL: (Level(0, ("journal", "mail")), Level(30 * MIN, ("pager",))),
    },
    tries=3,
    pause=30,
)
W, C = Severity.WARNING, Severity.CRITICAL


class Channel:
    def __init__(self):
        self.got = []
        self.error = None

    def send(self, message):
        if self.error:
            raise self.error
        self.got.append(message)
        return ""


class Desk:
    """Alerts with a clock and channels."""

    def __init__(self, store, routes=ROUTES):
        self.now = 1000.0
        self.channels = {name: Channel() for name in ("journal", "mail", "pager")}
        self.alerts = Alerts(store, routes, self.channels, lambda: self.now)

    def raised(self, severity=W, key="hot/srv", **more):
        return self.alerts.announce(key, "srv", severity, "It is hot.", **more)

    def later(self, seconds):
        self.now += seconds
        self.alerts.pass_time()
        self.alerts.send_due()

    def got(self):
        """(channel, occasion) of all that arrived, by channel."""
        return [
            (name, one.occasion) for name, channel in self.channels.items() for one in channel.got
        ]


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "db") as opened:
        yield opened


@pytest.fixture
def desk(store):
    return Desk(store)


def test_the_same_alert_is_told_once(desk):
    for _ in range(5):
        alert = desk.raised()
        desk.later(1)
    assert desk.got() == [("journal", "level-0")]
    assert (alert.count, alert.state) == (5, AlertState.OPEN)
    (message,) = desk.channels["journal"].got
    assert message.subject == "[warning] srv: hot"
    assert message.body.startswith("It is hot.\n\nFirst: 1970-01-01T00:16:40Z")


def test_another_alert_is_another(desk):
    desk.raised()
    desk.raised(key="hot/other")
    desk.later(0)
    assert len(desk.channels["journal"].got) == 2


def test_what_nobody_acknowledges_goes_up(desk):
    desk.raised(C)
    desk.later(29 * MIN)
    assert desk.got() == [("journal", "level-0"), ("mail", "level-0")]
    desk.later(MIN)
    desk.later(HOUR)
    assert desk.got()[2:] == [("pager", "level-1")]


def test_what_is_acknowledged_does_not(desk, store):
    alert = desk.raised(C)
    desk.later(0)
    assert desk.alerts.acknowledge(alert.id, "anna").who == "anna"
    desk.later(HOUR)
    desk.raised(C)
    desk.later(HOUR)
    assert ("pager", "level-1") not in desk.got()
    assert store.outbox()[0][1]["what"] == "alert 1 acknowledged"


def test_what_becomes_worse_is_told_again_also_to_who_acknowledged(desk):
    alert = desk.raised(W)
    desk.later(0)
    desk.alerts.acknowledge(alert.id, "anna")
    assert desk.raised(C).state is AlertState.OPEN
    desk.later(0)
    assert desk.got() == [
        ("journal", "level-0"),
        ("journal", "worse-critical"),
        ("mail", "level-0"),
    ]
    # better is no news
    assert desk.raised(W).severity is C
    desk.later(0)
    assert len(desk.got()) == 3


def test_who_was_to_be_told_of_the_lesser_one_is_told_of_the_worse(desk):
    desk.channels["journal"].error = NotSentError("not now")
    alert = desk.raised(W)
    desk.later(0)
    desk.alerts.acknowledge(alert.id, "anna")
    desk.channels["journal"].error = None
    desk.raised(C)
    desk.later(0)
    assert desk.got() == [("journal", "worse-critical"), ("mail", "level-0")]


def test_when_it_is_over_those_are_told_who_knew(desk):
    alert = desk.raised()
    desk.later(0)
    desk.alerts.resolve(alert.id, "anna")
    desk.alerts.resolve(alert.id, "bert")
    desk.later(0)
    assert desk.got() == [("journal", "level-0"), ("journal", "over")]
    assert desk.channels["journal"].got[1].subject == "[warning] over: srv: hot"
    # and when it comes again, that is a new one
    assert desk.raised().id != alert.id
    desk.later(0)
    assert len(desk.got()) == 3


def test_what_was_not_raised_again_for_days_is_over(desk):
    alert = desk.raised()
    desk.later(0)
    desk.later(2 * DAY - 1)
    assert desk.alerts.all() != []
    desk.later(1)
    assert desk.alerts.all() == []
    assert desk.alerts.get(alert.id).who == "dm-remapd"
    assert [one.id for one in desk.alerts.all(over=True)] == [alert.id]


def test_what_is_muted_is_counted_and_not_told(desk):
    mute = desk.alerts.mute("hot/*", desk.now + HOUR, "anna", "the fan is being replaced")
    assert desk.alerts.mutes() == [mute]
    desk.raised(C)
    desk.raised(C, key="cold/srv")
    desk.later(40 * MIN)
    assert [one.count for one in desk.alerts.all()] == [1, 1]
    assert len(desk.got()) == 3
    # when the mute ends and it is still open, it is told after all
    desk.later(20 * MIN)
    assert desk.alerts.mutes() == []
    assert Counter(occasion for _, occasion in desk.got()) == {"level-0": 4, "level-1": 2}


def test_a_mute_that_comes_before_the_message_and_one_that_is_ended(desk):
    desk.raised()
    mute = desk.alerts.mute("*", desk.now + HOUR, "anna", "")
    desk.later(1)
    assert desk.got() == []
    desk.alerts.unmute(mute.id, "anna")
    desk.later(1)
    assert desk.got() == [("journal", "level-0")]


def test_more_channels(desk):
    desk.raised(channels=["pager"])
    desk.later(0)
    assert desk.got() == [("journal", "level-0"), ("pager", "level-0")]


def test_a_channel_that_does_not_work_is_tried_again_with_growing_pauses(desk):
    desk.channels["journal"].error = NotSentError("not now")
    desk.raised()
    tried = []
    for _ in range(100):
        tried.append(desk.alerts.deliveries()[0].tries)
        desk.later(1)
    # at once, after 30 s, and after 60 more
    assert [tried.index(count) for count in (1, 2, 3)] == [1, 31, 91]
    assert desk.alerts.deliveries()[0].state == "failed"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NotSentError("never", again=False), "failed"),
        (DoubtfulError("no answer"), "unknown"),
        (RuntimeError("a mistake in the channel"), "unknown"),
    ],
)
def test_what_has_not_arrived_for_sure_goes_up_at_once(desk, error, state):
    desk.channels["journal"].error = error
    desk.raised(W)
    desk.later(0)
    desk.later(0)
    assert [one.state for one in desk.alerts.deliveries()] == [state, "sent"]
    assert desk.got() == [("mail", "level-1")]


def test_a_channel_that_is_not_there(desk):
    desk.raised(channels=["smoke"])
    desk.later(0)
    found = {one.channel: (one.state.value, one.why) for one in desk.alerts.deliveries()}
    assert found["smoke"] == ("failed", "There is no channel smoke.")


def test_a_storm_does_not_fill_the_mailbox(store):
    desk = Desk(store, replace(ROUTES, per_hour=10))
    for number in range(50):
        desk.raised(key=f"hot/{number}")
    desk.later(0)
    assert len(desk.got()) == 10
    desk.later(HOUR)
    assert Counter(desk.got())["journal", "level-0"] == 20


def test_there_is_no_such_alert(desk):
    for call in (desk.alerts.acknowledge, desk.alerts.resolve):
        with pytest.raises(NotFoundError):
            call(7, "anna")


class Box:
    """A channel whose messages survive a kill, with points around the delivery."""

    def __init__(self, place, killer):
        self.place = place
        self.killer = killer

    def send(self, message):
        self.killer.point()
        with (self.place / "box").open("a") as file:
            file.write(f"{message.id} {message.occasion}\n")
        self.killer.point()
        return ""


def arrived(place):
    file = place / "box"
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def scenario(place, routes):
    """A daemon that raises an alert that escalates, and another one; it may be killed anywhere."""

    def job(killer):
        with KilledStore(place / "db") as store:
            now = [0.0]
            box = Box(place, killer)
            names = ("journal", "mail", "pager")
            alerts = Alerts(store, routes, dict.fromkeys(names, box), lambda: now[0])
            alerts.recover()
            for key, severity in (("a", C), ("b", W)):
                if not any(one.key == key for one in alerts.all()):
                    alerts.announce(key, "srv", severity, "text")
            alerts.send_due()
            now[0] = 2 * HOUR
            alerts.pass_time()
            alerts.send_due()

    return job


@pytest.mark.parametrize("repeatable", [False, True])
def test_nothing_is_sent_twice_wherever_it_is_killed(repeatable):
    """SIGKILL at every point. Where receivers tell repetitions, nothing is lost instead."""
    names = {"journal", "mail", "pager"} if repeatable else set()
    routes = replace(ROUTES, repeatable=frozenset(names))
    everything = {}
    for at in itertools.count():
        with folder() as name:
            place = Path(name)
            Store(place / "db").close()
            job = scenario(place, routes)
            killed = in_child(job, at)
            before = arrived(place)
            whole(job)
            got = arrived(place)
            with Store(place / "db") as store:
                states = Counter(
                    one.state.value for one in Alerts(store, routes, {}, lambda: 0.0).deliveries()
                )
            # every message is told for: it arrived, or nobody knows
            assert set(states) <= {"sent", "unknown"}
            if repeatable:
                assert states == {"sent": 5}
                assert len(got) == 5
                assert sum(got.values()) <= 6
            else:
                assert max(got.values()) == 1
                assert states["unknown"] <= 1
                assert states["sent"] <= len(got) <= states["sent"] + states["unknown"]
                assert states["sent"] + states["unknown"] == 5
            assert before <= got
            everything[at] = sum(got.values())
        if not killed:
            break
    # five messages: two points of each, and before and behind two commits of each
    assert at > 30
    assert everything[at] == 5


@settings(max_examples=20)
@given(st.lists(st.integers(0, 40), max_size=8))
def test_nothing_is_sent_twice_after_any_kills(kills):
    with folder() as name:
        place = Path(name)
        Store(place / "db").close()
        job = scenario(place, ROUTES)
        for at in kills:
            in_child(job, at)
        whole(job)
        assert max(arrived(place).values(), default=1) == 1
