"""The steps that hypothesis chooses from: with which arguments, and how often each of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
from hypothesis.strategies import SearchStrategy

from tests.kernel.lib.metadata import ALL_COPIES
from tests.kernel.lib.state_machine.bench import PLACES, SPARES, UNITS

numbers = st.integers(0, UNITS - 1)
counts = st.integers(1, 8)
many = st.integers(1, UNITS)
spare_numbers = st.integers(0, SPARES - 1)
places = st.sampled_from(PLACES)
some_copies = st.sets(st.sampled_from(ALL_COPIES), min_size=1, max_size=3)
some_spares = st.sets(spare_numbers, max_size=1)
policies = st.sampled_from(("first-fit", "least-used", "round-robin", "healthiest", "tiered"))


@dataclass(frozen=True)
class Step:
    """A step of the machine: the name of a method, and its arguments."""

    name: str
    arguments: Mapping[str, Any]

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({arguments})"


@st.composite
def one_step(draw: st.DrawFn, name: str, arguments: Mapping[str, SearchStrategy[Any]]) -> Step:
    """A step with any arguments."""
    return Step(name, draw(st.fixed_dictionaries(arguments)))


def steps(weight: int, name: str, **arguments: SearchStrategy[Any]) -> list[SearchStrategy[Step]]:
    """A step that is as likely as its weight says."""
    return [one_step(name, arguments) for _ in range(weight)]


# Not a rule each: hypothesis takes all rules for equally likely, and leaves some out in each run.
# In the few runs that an emulated guest has time for most of them would hardly come.
ALL_STEPS = st.one_of(
    *steps(8, "write", first=numbers, count=counts),
    *steps(3, "read", first=numbers, count=counts),
    *steps(1, "flush"),
    *steps(1, "write_while_suspended", first=numbers, count=counts, noflush=st.booleans()),
    *steps(4, "main_goes_bad", first=numbers, count=counts, reads=st.booleans()),
    *steps(2, "main_gets_well", first=numbers, count=many),
    *steps(1, "place_goes_bad", spare=spare_numbers, place=places, reads=st.booleans()),
    *steps(2, "place_in_use_goes_bad", number=numbers, reads=st.booleans()),
    *steps(1, "places_get_well", spare=spare_numbers),
    *steps(3, "spare_dies", spare=spare_numbers, last=st.sampled_from([False, False, True])),
    *steps(3, "spare_works_again", spare=spare_numbers),
    *steps(1, "metadata_goes_bad", spare=spare_numbers, copies=some_copies),
    *steps(1, "metadata_gets_well", spare=spare_numbers),
    *steps(4, "remap", first=numbers, count=counts),
    *steps(2, "unremap", first=numbers, count=many),
    *steps(3, "move_under_writes", first=numbers, count=many),
    *steps(1, "clear"),
    *steps(1, "verify", first=numbers, count=many),
    *steps(1, "metadata", word=st.sampled_from(["save", "repair"])),
    *steps(4, "join", spare=spare_numbers),
    *steps(1, "drain", spare=spare_numbers, on=st.booleans()),
    *steps(2, "evacuate", spare=spare_numbers),
    *steps(2, "migrate", spare=spare_numbers, other=spare_numbers, count=counts),
    *steps(1, "drop", spare=spare_numbers, lose=st.booleans()),
    *steps(1, "allocation", policy=policies, spare=spare_numbers, tier=st.integers(0, 15)),
    *steps(4, "redundancy", copies=st.sampled_from([1, 2, 2])),
    *steps(2, "copy_main"),
    *steps(1, "new_main_goes_bad", first=numbers, count=counts, reads=st.booleans()),
    *steps(3, "exchange_main"),
    *steps(1, "reload", noflush=st.booleans()),
    *steps(
        3,
        "stop_and_start",
        order=st.permutations(range(SPARES)),
        left_out=some_spares,
        keep_copy=st.booleans(),
    ),
)
