"""The bad block list of an ext2, ext3 or ext4 file system.

`dumpe2fs -b` prints it, `e2fsck -l`, `e2fsck -L` and `mke2fs -l` read it (their manual pages, of
e2fsprogs): the number of a bad block in each line, as `badblocks -o` writes it, but in blocks of
the file system, counted from the beginning of the device that it is on. How large those are stands
only in the file system's superblock (`dumpe2fs -h`: "Block size").
"""

from pyctl.badblocks.badblocks import parse, write

__all__ = ["parse", "write"]
