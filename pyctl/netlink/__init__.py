"""The kernel module's generic netlink family: how sets are, and what happens to them."""
