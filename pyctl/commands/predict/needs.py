"""Says which Python packages are missing for a prediction."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyctl.errors import PyctlError

__all__ = ["needs_predict"]


@contextmanager
def needs_predict() -> Iterator[None]:
    """Turns a failed import of a package of an extra of the prediction into advice."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = "predict-torch" if error.name == "torch" else "predict"
        raise PyctlError(
            f"The Python package {error.name} is missing.",
            hint=f"The packages of the prediction come with: pip install 'dm-remap[{extra}]'",
        ) from error
    except OSError as error:
        # LightGBM's own library wants OpenMP
        if "libgomp" not in str(error):
            raise
        raise PyctlError(
            f"LightGBM cannot be loaded: {error}.", hint="Install the package libgomp1."
        ) from error
    except RuntimeError as error:
        if "NumPy was built with" not in str(error):
            raise
        raise PyctlError(
            f"NumPy cannot be loaded: {' '.join(str(error).split())}",
            hint="The processor is older than pip's NumPy is made for. "
            "This builds one for it: pip install --force-reinstall --no-binary numpy numpy",
        ) from error
