import tests.properties  # noqa: F401 (sets hypothesis up)
