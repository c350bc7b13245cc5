"""dm-remapd: what decides and acts when nobody watches.

These modules need the packages of the extra `daemon`; the rest of pyctl does without.
"""
