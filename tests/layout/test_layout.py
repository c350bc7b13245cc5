"""While all is well, no cache line is written by two processors.

Every processor reads struct dmr_set for each bio; what it writes are the counters of its own
(struct dmr_pcpu), and the bio. So the fields that are read must not share a cache line with a field
that is written. struct dmr_set begins with a cache line, since it has pages of its own.
"""

import os
from pathlib import Path

import pytest

from tests.layout import pahole, source
from tests.vm import kernels, paths

KERNELS = os.environ.get("KERNELS", " ".join(kernels.SERIES)).split()

# The fields of struct dmr_set that are read for a bio while all is well, with remaps or without.
# They change when a unit is remapped or a range is held, and have their cache line for themselves.
HOT = frozenset(
    {"main", "pcpu", "tbl", "nr_entries", "nr_holds", "busy", "epoch", "unit_shift", "unit_bytes"}
)
# Where no bio goes while all is well: what meets a remap or a held range, is a flush, has failed.
SLOW = frozenset(
    {
        *("dmr_map_slow", "dmr_map_flush", "dmr_to_spare"),
        *("dmr_end_slow", "dmr_failed", "dmr_spare_written"),
    }
)
# What those may use besides in the file of the healthy path.
COLD = frozenset({"failed", "spare", "records", "wide", "fail_lock", "copy"})

ROOTS = ("dmr_map", "dmr_end_io")
# A bio belongs to the processor that is at it.
OWN = frozenset({"bio"})

MAP_FILE = paths.PROJECT / "kernel" / "dm-remap-map.c"
STRUCTURES = ("dmr_set", "dmr_table", "dmr_pcpu", "dmr_region")
# Types that are there to be written while others look.
WRITTEN = ("spinlock_t", "mutex", "atomic", "refcount_t", "list_head", "work_struct", "wait_queue")


@pytest.fixture(scope="module")
def bodies():
    return source.of_folder(paths.PROJECT / "kernel")


@pytest.fixture(scope="module")
def healthy(bodies):
    return source.reached(bodies, ROOTS, SLOW)


@pytest.fixture(scope="module", params=KERNELS)
def structures(request):
    release = kernels.find(request.param).release
    module = paths.module(release)
    assert module.exists(), f"{module} isn't built: make module KVER={release}"
    found = {name: pahole.read(module, name) for name in STRUCTURES}
    dump = paths.BUILD / "layout" / f"{release}.txt"
    dump.parent.mkdir(parents=True, exist_ok=True)
    dump.write_text("\n".join(structure.text for structure in found.values()))
    print(f"{dump}:\n{found['dmr_set'].text}")
    return found


def test_what_every_bio_reads_is_one_cache_line(structures):
    fields = structures["dmr_set"].fields
    assert {line for name in HOT for line in fields[name].lines} == {0}


def test_nothing_that_is_written_shares_its_cache_line(structures):
    assert structures["dmr_set"].beside(HOT) == {}


def test_a_set_begins_with_a_cache_line(structures, bodies):
    # So much memory comes in pages, from kmalloc() as well as from vmalloc().
    assert structures["dmr_set"].size > 8192
    assert "struct dmr_set *s = kvzalloc(sizeof(*s)" in "".join(bodies.values())


def test_nothing_in_a_table_is_there_to_be_written(structures):
    types = {name: field.type for name, field in structures["dmr_table"].fields.items()}
    assert {"ti", "set"} <= set(types)
    assert [name for name, type_ in types.items() if any(word in type_ for word in WRITTEN)] == []


def test_counters_are_the_processor_s_own(structures, bodies):
    assert set(structures["dmr_pcpu"].fields) == {"inflight", "done"}
    assert "s->pcpu = alloc_percpu(struct dmr_pcpu)" in "".join(bodies.values())


def test_the_healthy_path_is_found(bodies, healthy):
    # If the functions were renamed, the tests below would look at nothing.
    assert set(ROOTS) <= healthy
    assert set(bodies) >= SLOW


def test_the_healthy_path_uses_hot_fields_only(bodies, healthy):
    assert source.fields_used(bodies, healthy, "s") - HOT == set()
    assert source.unknown_calls(bodies, healthy, "s") == []


def test_every_hot_field_is_used(bodies, healthy):
    # nr_entries is read as a half of busy.
    assert HOT - source.fields_used(bodies, healthy, "s") <= {"nr_entries", "nr_holds"}


def test_the_file_of_the_healthy_path_uses_known_fields_only(bodies):
    own = source.functions([MAP_FILE.read_text()])
    assert set(ROOTS) <= set(own)
    assert source.fields_used(bodies, own, "s") - HOT - COLD == set()


def test_the_healthy_path_writes_its_bio_and_own_counters_only(bodies, healthy):
    assert [str(use) for use in source.shared_writes(bodies, healthy, OWN)] == []


### That these tests can fail


@pytest.mark.parametrize(
    ("statement", "is_write"),
    [
        ("s->reads++;", True),
        ("--s->reads;", True),
        ("s->stats.reads += 1;", True),
        ("s->slot[i] = bio;", True),
        ("t->set = NULL;", True),
        ("WRITE_ONCE(s->last, jiffies);", True),
        ("atomic_inc(&s->inflight);", True),
        ("spin_lock(&s->lock);", True),
        ("atomic64_inc(&reads);", True),
        ("sp = &s->spare[0];", True),
        ("set_bit(0, s->bits);", True),
        ("bio->bi_private = tag;", False),
        ("if (s->epoch == 1 || s->busy >= 2) return;", False),
        ("return smp_load_acquire(&s->epoch);", False),
        ("this_cpu_inc(s->pcpu->done[0]);", False),
        ("n = READ_ONCE(s->nr_holds);", False),
        ("/* s->reads++; */", False),
    ],
)
def test_writes_are_seen(statement, is_write):
    text = f"static int dmr_map(struct dmr_set *s)\n{{\n\t{statement}\n}}\n"
    found = source.shared_writes(source.functions([text]), ["dmr_map"], OWN)
    assert bool(found) == is_write


def test_a_function_that_is_called_belongs_to_the_path():
    text = (
        "static void count(struct dmr_set *s)\n{\n\ts->reads++;\n}\n\n"
        "static void slow(struct dmr_set *s)\n{\n\ts->slow = 1;\n}\n\n"
        "int dmr_map(struct dm_target *ti, struct bio *bio)\n{\n"
        "\tif (s->busy)\n\t\treturn slow(s);\n\tcount(s);\n\tnote(bio, s);\n}\n"
    )
    bodies = source.functions([text])
    names = source.reached(bodies, ["dmr_map"], {"slow"})
    assert names == {"dmr_map", "count"}
    assert source.fields_used(bodies, names, "s") == {"busy", "reads"}
    assert [str(use) for use in source.unknown_calls(bodies, names, "s")] == [
        "dmr_map(): note(bio, s)"
    ]


def test_a_field_beside_hot_ones_is_seen(tmp_path: Path, compile_object):
    built = compile_object(
        "struct set {\n"
        "\tunion { struct { void *main; unsigned epoch; }; struct { void *a; } hot; };\n"
        "\tvoid (*call)(int); char lock[4]; unsigned flag : 3;\n"
        "\tchar far __attribute__((aligned(64))); };\n"
        "struct set set;\n"
    )
    structure = pahole.read(built, "set")
    assert structure.size == 128
    beside = structure.beside(frozenset({"main", "epoch"}))
    assert set(beside) == {"a", "call", "lock", "flag"}
    assert structure.fields["far"].lines == range(1, 2)
    with pytest.raises(LookupError):
        pahole.read(built, "no_such_set")
