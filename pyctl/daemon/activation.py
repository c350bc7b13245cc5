"""The socket that systemd has opened for the daemon (socket activation, sd_listen_fds(3)).

Whoever calls while the daemon starts, or starts anew, waits instead of being refused.
"""

import os
import socket

from pyctl.errors import UsageError

__all__ = ["inherited"]

_FIRST = 3
_WORDS = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def inherited() -> socket.socket | None:
    """The listening socket in the file system that this process was given, if it was.

    To be called once: the environment says nothing of it then. Raises UsageError for any other
    socket, and for several: how TCP is protected is a matter of the settings.
    """
    pid, count, _ = (os.environ.pop(word, "") for word in _WORDS)
    if pid != str(os.getpid()) or count in ("", "0"):
        return None
    if count != "1":
        raise UsageError(
            f"systemd gives {count} sockets, and the daemon takes one.",
            hint="Only one ListenStream= in dm-remapd.socket: TCP is in daemon.yaml.",
        )
    os.set_inheritable(_FIRST, False)
    made = socket.socket(fileno=_FIRST)
    listens = made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if (made.family, made.type, listens) != (socket.AF_UNIX, socket.SOCK_STREAM, 1):
        made.close()
        raise UsageError(
            "The socket that systemd gives is none in the file system that listens.",
            hint="ListenStream= in dm-remapd.socket is a path: TCP is in daemon.yaml.",
        )
    made.setblocking(False)
    return made
