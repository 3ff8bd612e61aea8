"""The suite's database, from one release to the next."""
