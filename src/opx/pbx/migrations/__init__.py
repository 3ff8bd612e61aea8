"""The node's database migrations, run at its start by `opx.store.migrations`."""
