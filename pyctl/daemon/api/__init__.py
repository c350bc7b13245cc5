"""The interface of the daemon for programs."""
