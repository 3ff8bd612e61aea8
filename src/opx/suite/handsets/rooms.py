"""What phones are served beyond their configuration: each room that has something adds it here, in a line."""

from opx.suite.handsets.house import House


async def furnish(house: House) -> None:
    """Before the first request. A room may read the database here; later it answers from memory."""
