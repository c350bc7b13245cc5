"""The one place that starts programs."""

import shlex
import subprocess


class CommandError(Exception):
    """A program failed; the text can be pasted into a shell to see it again."""

    def __init__(self, argv: tuple[str, ...], stdin: str | None, status: int, output: str) -> None:
        self.status = status
        self.output = output
        heredoc = f" <<'EOF'\n{stdin.rstrip()}\nEOF" if stdin is not None else ""
        super().__init__(f"status {status} from:\n{shlex.join(argv)}{heredoc}\n{output.rstrip()}")


def run(*argv: object, stdin: str | None = None, timeout: float = 60) -> str:
    """Run a program and return its standard output; a failing one raises."""
    words = tuple(str(word) for word in argv)
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as expired:
        raise CommandError(words, stdin, -1, f"no end after {timeout} s") from expired
    if done.returncode:
        raise CommandError(words, stdin, done.returncode, done.stdout + done.stderr)
    return done.stdout
