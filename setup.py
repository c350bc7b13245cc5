# Everything is in pyproject.toml except the two cffi extensions: cffi hooks into setuptools
# through the keyword `cffi_modules` of setup(), and pyproject.toml has no word for it.
from setuptools import setup

setup(
    cffi_modules=[
        "pyctl/dm/build.py:ffibuilder",
        "pyctl/format/build.py:ffibuilder",
    ]
)
