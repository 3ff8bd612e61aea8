"""What a person does at a running handset, as lines that are typed: keys, menus, calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from opx.phone.handset.display import NothingThere
from opx.phone.handset.handset import Handset

HELP = """\
press NAME       a key by what stands on it (a softkey, a top softkey, goodbye)
choose N|TEXT    an item of the menu on the screen
type TEXT        into the field at the cursor; up and down move it
call NUMBER      from the first line that is registered
answer           the call that rings
hang up          the newest call
screen           draw the screen
reboot, resync   as the menu does
quit             power off"""


class Person:
    """Carries out typed lines. `draw` shows the screen."""

    def __init__(self, handset: Handset, draw: Callable[[], None], say: Callable[[str], None]) -> None:
        self._handset = handset
        self._draw = draw
        self._say = say
        self._orders: dict[str, Callable[[str], Awaitable[None]]] = {
            "press": handset.actions.press,
            "choose": self._choose,
            "type": self._type,
            "call": self._call,
            "answer": self._answer,
            "hang": self._hang_up,
            "reboot": lambda _: handset.reboot(),
            "resync": lambda _: handset.resync(),
            "up": lambda _: self._move(-1),
            "down": lambda _: self._move(1),
            "screen": lambda _: self._screen(),
        }

    async def does(self, line: str) -> bool:
        """Whether the handset is still powered afterwards."""
        order, _, rest = line.strip().partition(" ")
        if order.lower() in ("quit", "exit"):
            return False
        if not order:
            return True
        action = self._orders.get(order.lower())
        if action is None:
            self._say(HELP)
            return True
        try:
            await action(rest.strip())
        except (NothingThere, ValueError) as error:
            self._say(str(error))
        return True

    async def _choose(self, which: str) -> None:
        await self._handset.actions.choose(int(which) if which.isdecimal() else which)

    async def _type(self, text: str) -> None:
        self._handset.actions.type_in(text)

    async def _call(self, number: str) -> None:
        self._handset.call(number)

    async def _answer(self, _: str) -> None:
        ringing = [call for call in self._handset.calls if call.waiting]
        if not ringing:
            raise NothingThere("nothing rings")
        self._handset.answer(ringing[0])

    async def _hang_up(self, _: str) -> None:
        if not self._handset.calls:
            raise NothingThere("there is no call")
        self._handset.hang_up(self._handset.calls[-1])

    async def _move(self, step: int) -> None:
        self._handset.display.move(step)
        self._handset.touch()

    async def _screen(self) -> None:
        self._draw()
