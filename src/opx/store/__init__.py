"""What every program's database has in common: the engine, migrations, and secrets at rest.

Each program has its own database and its own tables; this room knows none of them.
"""
