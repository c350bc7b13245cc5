"""From a YAML file to a policy, or to everything that is wrong with it, by line and column."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pyctl.daemon.policy.document import Policy, problems
from pyctl.daemon.policy.schema import TAG
from pyctl.errors import PyctlError, from_os_error

__all__ = [
    "PolicyError",
    "Problem",
    "load_policy",
    "parse_document",
    "parse_policy",
    "read_document",
]

Document = TypeVar("Document", bound=BaseModel)

# No policy is longer; and aliases of aliases must not eat the memory.
MAX_BYTES = 1 << 20
_MAX_NODES = 50_000
_MAX_DEPTH = 50


@dataclass(frozen=True)
class Problem:
    """Something wrong in a file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    what: str
    hint: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.what}." + (f" {self.hint}" if self.hint else "")

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class PolicyError(PyctlError):
    """A policy file that cannot be used; `problems` has all that is wrong with it."""

    def __init__(self, found: Sequence[Problem], more: str = "`pyctl policy check` tells.") -> None:
        rest = len(found) - 1
        more = f" And {rest} more: {more}" if rest else ""
        first = found[0]
        super().__init__(
            f"{first.file}:{first.line}:{first.column}: {first.what}.", hint=first.hint + more
        )
        self.problems = tuple(found)


def load_policy(path: Path) -> Policy:
    """Read a policy file. Raises PolicyError, or PyctlError if it cannot be read."""
    return parse_policy(read_document(path), str(path))


def parse_policy(data: bytes, file: str) -> Policy:
    """The policy of a text. Raises PolicyError with every mistake that was found."""
    return parse_document(data, file, Policy, problems)


def read_document(path: Path) -> bytes:
    """What is in a file, or a little more than a document may have. Raises PyctlError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise from_os_error(error, f"Cannot read {path}") from error


def parse_document(
    data: bytes,
    file: str,
    model: type[Document],
    problems: Callable[[Document], Iterable[tuple[tuple[str | int, ...], str, str]]],
) -> Document:
    """The document of a text; `problems` tells what no single part can know.

    Raises PolicyError with every mistake that was found.
    """
    if len(data) > MAX_BYTES:
        raise PolicyError([Problem(file, 1, 1, "it is longer than 1 MiB", "Is this a policy?")])
    root = _read(data, file)
    try:
        document = model.model_validate(_plain(root, file))
    except ValidationError as error:
        # a list whose every item is wrong is called empty, too
        wrong = [one for one in error.errors() if one["type"] != "too_short" or not one["input"]]
        raise PolicyError(_unique([_problem(root, one, file) for one in wrong])) from None
    found = [
        Problem(file, *_place(root, path, key=False), what, hint)
        for path, what, hint in problems(document)
    ]
    if found:
        raise PolicyError(_unique(found))
    return document


def _read(data: bytes, file: str) -> Any:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise PolicyError(
            [Problem(file, line, column, "this is not UTF-8", "Save it as UTF-8.")]
        ) from None
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = " ".join(filter(None, (error.context, error.problem)))
        what = what.partition("\n")[0]
        hint = "Is the line indented as its neighbours, with spaces, and are quotes closed?"
        raise PolicyError([Problem(file, line, column, f"not YAML: {what}", hint)]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        what = (str(error) or type(error).__name__).partition("\n")[0]
        raise PolicyError(
            [Problem(file, 1, 1, f"not YAML: {what}", "Write it as docs/policies.md shows.")]
        ) from None


# Plain objects of what ruamel.yaml has read. Aliases are counted as often as they are used.
def _plain(root: Any, file: str) -> Any:
    left = _MAX_NODES

    def copy(node: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > _MAX_DEPTH:
            raise PolicyError(
                [Problem(file, 1, 1, "it has too many parts, or too deep ones", "Use fewer.")]
            )
        if isinstance(node, Mapping):
            return {str(key): copy(value, depth + 1) for key, value in node.items()}
        if isinstance(node, list):
            return [copy(value, depth + 1) for value in node]
        if isinstance(node, str):
            return str(node)
        if isinstance(node, bool) or node is None:
            return node
        if isinstance(node, int):
            return int(node)
        if isinstance(node, float):
            return float(node)
        # bool of ruamel is an int with an anchor; dates and binaries have no place here
        return str(node)

    return copy(root, 0)


def _unique(found: Sequence[Problem]) -> list[Problem]:
    return sorted(set(found), key=lambda one: (one.line, one.column, one.what))


def _problem(root: Any, error: ErrorDetails, file: str) -> Problem:
    what, hint = _words(error)
    key = error["type"] == "extra_forbidden"
    return Problem(file, *_place(root, error["loc"], key=key), what, hint)


# Where something is: the deepest node on the way that is there. An unknown key is itself the place.
def _place(root: Any, path: Sequence[str | int], *, key: bool) -> tuple[int, int]:
    node, line, column = root, 0, 0
    steps = [step for step in path if not (isinstance(step, str) and step.startswith(TAG))]
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if isinstance(node, CommentedMap) and step in node:
            line, column = node.lc.key(step) if key and last else node.lc.value(step)
        elif isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
            line, column = node.lc.item(step)
        else:
            break
        node = node[step]
    return line + 1, column + 1


def _words(error: ErrorDetails) -> tuple[str, str]:
    context = error.get("ctx", {})
    name = str(error["loc"][-1]) if error["loc"] else "the file"
    match error["type"]:
        case "mistake":
            return str(context["what"]), str(context["hint"])
        case "missing":
            return f"{name} is missing", "Add it."
        case "extra_forbidden":
            return f"there is no key {name!r} here", "Is it misspelt, or indented too deep?"
        case "literal_error":
            return f"{error['input']!r} is none of {context['expected']}", "Choose one of them."
        case "too_short":
            return f"the list {name} is empty", "Put something in, or leave it out."
        case "string_pattern_mismatch":
            return (
                f"{error['input']!r} does not match {context['pattern']}",
                "Write it in that form.",
            )
        case kind if kind.endswith("_type"):
            wanted = _WANTED.get(kind, kind.removesuffix("_type"))
            return f"{name} is {error['input']!r}, which is no {wanted}", f"Write a {wanted}."
        case _:
            return f"{name}: {error['msg']}", "Change it."


_WANTED = {
    "float_type": "number",
    "int_type": "whole number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "list",
    "dict_type": "mapping",
    "model_type": "mapping",
    "model_attributes_type": "mapping",
}
