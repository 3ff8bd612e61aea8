"""Carries out feature codes: a phone dials one, and hears a tone that says whether it was obeyed."""

from dataclasses import replace

from opx.pbx.calls import CallDesk
from opx.pbx.features.codes import Dialled, Feature
from opx.pbx.features.hot_desk import HotDesk, LogInByKeys
from opx.pbx.features.pickup import Pickup
from opx.pbx.features.switches import MAX_MESSAGES, switched
from opx.pbx.local_calls import LocalCalls
from opx.pbx.office import Office, Party
from opx.rtp.tones import CONFIRMATION, ERROR
from opx.sip.agent import new_tag
from opx.sip.transactions import ServerTransaction


class FeatureDesk:
    def __init__(self, office: Office, desk: CallDesk, local: LocalCalls, hot_desk: HotDesk) -> None:
        self._office = office
        self._desk = desk
        self._local = local
        self._hot_desk = hot_desk
        self._pickup = Pickup(office, desk)

    def dialled(self, transaction: ServerTransaction, caller: Party, code: Dialled) -> None:
        """A phone's INVITE for a code. One that is not registered is refused with 403: nothing could reach it."""
        if not self._office.registrar.contacts(caller.phone):
            self._office.say(f"{caller.number} dials the code {code.feature.value}: refused, it is not registered")
            transaction.reply(403, to_tag=new_tag())
            return
        match code.feature:
            case Feature.PICKUP | Feature.PICKUP_GROUP:
                self._pick_up(transaction, caller, code)
            case Feature.LOG_IN:
                self._log_in(transaction, caller, code.digits)
            case _:
                call = self._local.answer_code(transaction)
                if call is not None:
                    call.finish(CONFIRMATION if self._switch(caller, code) else ERROR)

    def _pick_up(self, transaction: ServerTransaction, caller: Party, code: Dialled) -> None:
        directed = code.feature is Feature.PICKUP
        found = self._pickup.directed(caller, code.digits) if directed else self._pickup.group(caller)
        if found is not None:
            self._desk.pick_up(found, transaction, caller)
            return
        self._office.say(f"{caller.number} finds no call to pick up")
        call = self._local.answer_code(transaction)
        if call is not None:
            call.finish(ERROR)

    def _log_in(self, transaction: ServerTransaction, caller: Party, digits: str) -> None:
        number, star, pin = digits.partition("*")
        dialogue = LogInByKeys(self._hot_desk, caller.phone, number)
        call = self._local.answer_code(transaction, on_digit=dialogue.on_key)
        if call is None:
            return
        if self._office.extensions[caller.phone].hot_desk:
            call.finish(ERROR)
            return
        dialogue.begin(call)
        if star:
            dialogue.try_pin(pin)

    def _switch(self, caller: Party, code: Dialled) -> bool:
        """Whether the code was obeyed."""
        states = self._office.states
        if code.feature is Feature.LOG_OUT:
            return self._hot_desk.log_out(caller.phone)
        if code.feature is Feature.LEAVE_MESSAGE:
            if code.digits not in self._office.extensions:
                return False
            state = states.of(code.digits)
            states.put(code.digits, replace(state, new_messages=min(state.new_messages + 1, MAX_MESSAGES)))
            return True
        after = switched(
            caller.number,
            states.of(caller.number),
            code.feature,
            code.digits,
            self._office.extensions.__contains__,
        )
        if after is None:
            return False
        states.put(caller.number, after)
        return True
