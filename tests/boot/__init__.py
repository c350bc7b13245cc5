"""Boots after a power cut: sets start by themselves, and what was synced is there."""
