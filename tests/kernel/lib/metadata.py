"""The metadata on a spare, for tests that look at it or damage it while no device uses it."""

from collections.abc import Callable
from dataclasses import replace

from pyctl.format import (
    BLOCK_SIZE,
    GEN_RECORDS,
    REPLICAS,
    SECTOR_SIZE,
    STATE_BLOCKS,
    Entry,
    Generation,
    Leaf,
    State,
    Superblock,
    gen_sector,
    slot_sector,
    state_sector,
)
from tests.kernel.lib.blockdev import BlockDevice
from tests.kernel.lib.directio import pread, pwrite

BLOCK_SECTORS = BLOCK_SIZE // SECTOR_SIZE
# A superblock and the inline leaves behind it.
SLOT_SECTORS = 1024
# Sectors of a spare before its data area.
DATA_START = 10240
ALL_COPIES = tuple(range(REPLICAS))


class Metadata:
    """Superblocks and leaves of one spare."""

    def __init__(self, spare: BlockDevice) -> None:
        self.spare = spare

    def superblock(self, copy: int = 0) -> Superblock:
        """A superblock, which must be valid."""
        block = pread(self.spare, slot_sector(copy), BLOCK_SECTORS)
        return Superblock.decode(block, copy, self.spare.sectors)

    def superblocks(self) -> list[Superblock | None]:
        """All copies; None for those that are not valid."""
        found = []
        for copy in ALL_COPIES:
            block = pread(self.spare, slot_sector(copy), BLOCK_SECTORS)
            found.append(Superblock.try_decode(block, copy, self.spare.sectors)[1])
        return found

    def put_superblock(self, superblock: Superblock) -> None:
        """Write all copies of a superblock."""
        for copy in ALL_COPIES:
            pwrite(self.spare, slot_sector(copy), superblock.encode(copy))

    def format(self, planned: Superblock) -> None:
        """Make a spare of a blank one, as the tools do."""
        leaves = b"".join(Leaf(n).encode(planned.set_uuid) for n in range(planned.nr_leaves))
        for copy in ALL_COPIES:
            pwrite(self.spare, self.leaf_sector(copy), leaves)
        self.put_superblock(planned)

    def leaf_sector(self, replica: int, number: int = 0) -> int:
        """Where a leaf is."""
        return slot_sector(replica) + (1 + number) * BLOCK_SECTORS

    def block(self, replica: int, number: int = 0) -> bytes:
        """A replica of a leaf, as it is."""
        return pread(self.spare, self.leaf_sector(replica, number), BLOCK_SECTORS)

    def blocks(self, number: int = 0) -> list[bytes]:
        """All replicas of a leaf."""
        return [self.block(replica, number) for replica in ALL_COPIES]

    def put_block(self, block: bytes, replica: int, number: int = 0) -> None:
        """Overwrite a replica of a leaf."""
        pwrite(self.spare, self.leaf_sector(replica, number), block)

    def leaf(self, number: int = 0) -> Leaf:
        """A leaf, from replica 0, which must be valid."""
        return Leaf.decode(self.block(0, number), self.superblock(), number)

    def change_leaf(self, change: Callable[[dict[int, Entry]], object], number: int = 0) -> None:
        """Change the entries of a leaf, in all replicas, with right checksums."""
        leaf = self.leaf(number)
        change(leaf.entries)
        sealed = replace(leaf, seq=leaf.seq + 1).encode(self.superblock().set_uuid)
        for replica in ALL_COPIES:
            self.put_block(sealed, replica, number)

    def image(self) -> bytes:
        """The whole spare."""
        return pread(self.spare, 0, self.spare.sectors)

    def wipe(self, *copies: int) -> None:
        """Destroy whole slots: superblock and all leaves; without arguments, all of them."""
        for copy in copies or ALL_COPIES:
            pwrite(self.spare, slot_sector(copy), b"\xa5" * (SLOT_SECTORS * SECTOR_SIZE))

    def generations(self) -> list[Generation]:
        """All valid records of the ring, of copy 0, the oldest first."""
        uuid = self.superblock().set_uuid
        found = []
        for place in range(GEN_RECORDS):
            block = pread(self.spare, gen_sector(place, 0), BLOCK_SECTORS)
            found.append(Generation.try_decode(block, uuid, place)[1])
        return sorted((g for g in found if g), key=lambda generation: generation.number)

    def state(self) -> State:
        """The newest state; there must be one."""
        uuid = self.superblock().set_uuid
        found = []
        for place in range(STATE_BLOCKS):
            block = pread(self.spare, state_sector(place), BLOCK_SECTORS)
            found.append(State.try_decode(block, uuid, place)[1])
        return max((s for s in found if s), key=lambda state: state.seq)
