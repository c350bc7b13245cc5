"""How soon the health scan finds what is bad and slow on a disk, by each pattern."""
