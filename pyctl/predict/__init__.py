"""What fails next: failing devices from SMART. See docs/prediction.md."""
