"""Control tool of dm-remap, the device-mapper target that keeps a dying disk working."""

__all__ = ["__version__"]

__version__ = "4.0.0"
