"""`pyctl health`: what is said of a region that is really slow, and of one that is really bad."""

from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.program import pyctl
from tests.kernel.lib.scanned import QuickWeak, Scanned
from tests.kernel.lib.setup import patient

MAIN_MB = 16
REGION = 2048
PIECE = QuickWeak.PIECE
SLOW_MS = 100
SLOW_REGION, BAD_REGION = 5 * REGION, 11 * REGION


def test_a_slow_and_a_bad_region_are_told_with_reasons_and_drawn() -> None:
    slow = [SLOW_REGION + i * PIECE for i in range(3)]
    bad = range(BAD_REGION + 100, BAD_REGION + 108)
    with (
        NullBlk(MAIN_MB) as main,
        NullBlk(12) as spare,
        QuickWeak(main) as weak,
        Scanned(weak, spare, opts=patient(), sectors=main.sectors) as dm,
    ):
        assert pyctl("health", dm.name)["regions"] == []
        dm.whole_pass("sequential")
        assert pyctl("health", dm.name)["regions"] == []

        weak.spoil(bad, slow, read_ms=SLOW_MS)
        dm.whole_pass("sequential")
        found = {one["sector"]: one for one in pyctl("health", dm.name)["regions"]}
        assert set(found) == {SLOW_REGION, BAD_REGION}
        assert found[BAD_REGION]["alarmed"] and found[BAD_REGION]["lost"] == len(bad)
        assert found[BAD_REGION]["reasons"][0]["name"] == "errors"
        assert [r["name"] for r in found[SLOW_REGION]["reasons"]] == ["slow"]
        assert not found[SLOW_REGION]["alarmed"]

        # slow once more: now it is a warning, before anything there has failed
        dm.whole_pass("sequential")
        found = {one["sector"]: one for one in pyctl("health", dm.name)["regions"]}
        assert found[SLOW_REGION]["alarmed"]
        assert found[SLOW_REGION]["reasons"][0]["name"] == "marginal"
        assert "pyctl scan candidates" in found[SLOW_REGION]["recommendation"]
        [row] = [row for row in pyctl("health") if row["name"] == dm.name]
        assert (row["regions"], row["alarmed"]) == (2, 2)

        drawn = pyctl("health", dm.name, "--map")
        assert drawn["regions"] == MAIN_MB
        kinds = {cell["region"]: cell["kind"] for cell in drawn["cells"]}
        assert kinds == {SLOW_REGION // REGION: "slow", BAD_REGION // REGION: "error"}

        # moved in time: the region may fail now, and nobody sees an error there
        for piece in pyctl("scan", "candidates", dm.name):
            pyctl("remap", dm.name, piece["sector"], piece["sectors"])
        weak.spoil([*bad, *range(SLOW_REGION, SLOW_REGION + 3 * PIECE)], read_ms=SLOW_MS)
        assert len(dm.read(SLOW_REGION, REGION)) == REGION * 512
        dm.whole_pass("sequential")
        kinds = {c["region"]: c["kind"] for c in pyctl("health", dm.name, "--map")["cells"]}
        assert kinds[SLOW_REGION // REGION] == "remap"
