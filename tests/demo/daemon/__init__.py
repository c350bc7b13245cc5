"""A disk gets bad sectors, and nobody but the daemon looks: what does it do?"""
