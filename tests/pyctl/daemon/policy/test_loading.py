"""A policy file, and what is said of one that is wrong: where, what, and what to do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctl.daemon.policy.loading import MAX_BYTES, PolicyError, load_policy, parse_policy
from pyctl.errors import NotFoundError

GOOD = """\
version: 1
name: good
pools:
  shelf: [/dev/sdx, /dev/sdy]
rules:
  - name: one
    when: {health: {below: 50}}
    do:
      - scan: {pattern: focused}
  - name: two
    when:
      all:
        - errors: {kind: read, at-least: 3, within: 1h}
        - not: {time: {from: "22:00", to: "06:00", timezone: Europe/Berlin}}
    do:
      - spare-add: {pool: shelf}
"""


def problems(text):
    with pytest.raises(PolicyError) as caught:
        parse_policy(text.encode() if isinstance(text, str) else text, "p.yaml")
    return [str(one) for one in caught.value.problems]


def test_a_good_one():
    policy = parse_policy(GOOD.encode(), "p.yaml")
    assert [rule.name for rule in policy.rules] == ["one", "two"]
    assert policy.rules[0].cool_down == 3600
    assert policy.pools == {"shelf": ("/dev/sdx", "/dev/sdy")}


@pytest.mark.parametrize(
    ("old", "new", "at", "words"),
    [
        ("below: 50", "below: fifty", "fifty", "below is 'fifty', which is no number"),
        ("below: 50", "belw: 50", "belw", "there is no key 'belw'"),
        ("below: 50", "below: 5, above: 5", "{below", "no number is above 5 and below 5"),
        ("{below: 50}", "{}", "{}", "there is no bound"),
        ("health:", "helth:", "{helth", "Did you mean health?"),
        ("within: 1h", "within: 60", "60", "60 has no unit. Write 90s"),
        ("within: 1h", "within: soon", "soon", "'soon' is no length of time"),
        (", within: 1h", "", "{kind", "within is missing"),
        ("kind: read", "kind: reed", "reed", "'reed' is none of"),
        ('"22:00"', '"25:00"', '"25:00"', "'25:00' is no time of day"),
        ("Europe/Berlin", "Europe/Berln", "Europe", "there is no time zone"),
        ('from: "22:00", ', "", "{to", "from and to, or neither"),
        ('from: "22:00"', 'from: "06:00"', "{from", "the window is empty"),
        ("focused", "round", "round", "'round' is none of"),
        ("scan:", "scann:", "scann", "Did you mean scan?"),
        ("pool: shelf", "pool: shelv", "shelv", "Did you mean shelf?"),
        ("name: two", "name: one", "one\n    when:\n", "the rule 'one' is there twice"),
        ("name: two", "name: Two!", "Two!", "does not match"),
        ("/dev/sdy", "/dev/sdx", "/dev/sdx]", "is in the pool 'shelf' already"),
        ("/dev/sdy", "sdy", "sdy]", "does not match"),
        ("version: 1", "version: 2", "2", "2 is none of 1"),
        ("name: good\n", "", "version", "name is missing"),
    ],
)
def test_a_mistake_has_a_place_a_reason_and_a_way_out(old, new, at, words):
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    (said,) = problems(text)
    _, line, column, *_ = said.split(":")
    behind = "".join(text.splitlines(keepends=True)[int(line) - 1 :])[int(column) - 1 :]
    assert behind.startswith(at)
    assert words in said
    # what is wrong, and what to do
    assert said.count(". ") >= 1
    assert said.endswith((".", "?"))


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "1:1", "no mapping"),
        ("- a\n", "1:1", "no mapping"),
        ("version: 1\nname: [\n", "3:1", "not YAML"),
        ("version: 1\n\tname: x\n", "2:1", "not YAML"),
        ("version: 1\nversion: 1\n", "2:1", "duplicate key"),
        (b"version: 1\nname: \xff\n", "2:7", "not UTF-8"),
        ("#" * (MAX_BYTES + 1), "1:1", "longer than 1 MiB"),
        ("a: !!python/object:os.system x\n", "1:1", "is missing"),
    ],
)
def test_what_is_no_policy_at_all(text, place, words):
    found = problems(text)
    assert any(one.startswith(f"p.yaml:{place}") for one in found), found
    assert words in " ".join(found)


def test_aliases_of_aliases_do_not_eat_the_memory():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "too many parts" in problems("\n".join(lines))[0]


def test_all_mistakes_are_told_at_once():
    found = problems(GOOD.replace("below: 50", "below: x").replace("focused", "y"))
    assert [one.split(":")[1] for one in found] == ["7", "9"]


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("{quorum: {at-least: 3, of: [{health: {below: 1}}]}}", "3 of 1 conditions"),
        ("{all: []}", "the list all is empty"),
        ("{event: [rain]}", "there is no kind of event 'rain'"),
        ("{health: {below: 1}, lost: {above: 0}}", "a condition has one key, not 2"),
        ("[]", "[] is no condition"),
        ("{time: {}}", "this is always"),
        ("{held: {for: 1h}}", "condition is missing"),
    ],
)
def test_conditions_that_cannot_be(when, words):
    found = problems(GOOD.replace("{health: {below: 50}}", when))
    assert words in found[0]


@pytest.mark.parametrize(
    ("do", "words"),
    [
        ("hook: {program: mail}", "no absolute path"),
        ("hook: {program: /usr/../bin/sh}", "no absolute path"),
        ("hook: {program: /bin/true, arguments: -x}", "no list"),
        ("hook: {program: /bin/true, shell: true}", "there is no key 'shell'"),
        ("notify: {text: '{devic}'}", "Did you mean device?"),
        ("notify: {text: '{device!r}'}", "there is no {device}"),
        ("notify: {text: '{device'}", "braces"),
        ("notify: {text: ''}", "text"),
    ],
)
def test_actions_that_cannot_be(do, words):
    found = problems(GOOD.replace("scan: {pattern: focused}", do))
    assert words in found[0]


@pytest.mark.parametrize(
    ("when", "do", "words"),
    [
        ("{health: {below: 1}}", "notify: {text: x}", "is about no device"),
        ("{not: {health: {below: 1}}}", "notify: {text: x}", "is about no device"),
        ("{devices: {at-least: 1, where: {health: {below: 1}}}}", "scan: {}", "can only notify"),
    ],
)
def test_a_rule_about_all_devices_is_about_none_in_particular(when, do, words):
    text = GOOD.replace("{health: {below: 50}}", when).replace("scan: {pattern: focused}", do)
    assert words in problems(text.replace("- name: one", "- name: one\n    scope: fleet"))[0]


def test_deep_negations_are_placed_exactly():
    (said,) = problems(GOOD.replace("{health: {below: 50}}", "{not: {not: {health: {belo: 5}}}}"))
    assert said.startswith("p.yaml:7:33: there is no key 'belo'")


@given(st.text(alphabet=st.characters(codec="utf-8")) | st.binary(max_size=200))
def test_any_text_is_a_policy_or_a_policy_error(text):
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(PolicyError):
        parse_policy(data, "p.yaml")


@settings(max_examples=40)
@given(st.data())
def test_any_damage_to_a_policy_is_a_policy_or_a_policy_error(data):
    place = data.draw(st.integers(0, len(GOOD) - 1))
    length = data.draw(st.integers(0, 20))
    put = data.draw(st.text(alphabet=" \n:-[]{}&*!|>'\"%@`#abc19", max_size=6))
    text = GOOD[:place] + put + GOOD[place + length :]
    try:
        parse_policy(text.encode(), "p.yaml")
    except PolicyError as error:
        assert all(one.line >= 1 and one.column >= 1 for one in error.problems)
        assert all(one.line <= text.count("\n") + 2 for one in error.problems)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(NotFoundError):
        load_policy(tmp_path / "none")
    (tmp_path / "p").write_text(GOOD)
    assert load_policy(tmp_path / "p").name == "good"
