"""What users notice of a health scan: nothing while they work, and it is quick when they rest."""
