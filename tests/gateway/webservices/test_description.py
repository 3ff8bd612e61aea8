"""The OpenAPI description is true: what it allows is answered as it says, what it does not is refused as it says."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from schemathesis.core.result import Ok

from opx.gateway.webservices.records import RESOURCES
from opx.gateway.webservices.settings import WebServicesSettings
from support.web_services import ALL, DEVICE, Api, OAuth1Session, WebSite, web_site

EXAMPLES = 8
"""Requests of each kind for each operation; the same ones in every run."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
    unsupported_method,
]
"""`positive_data_acceptance` is left out: whether an ICP is there or a password weak stands in no schema."""
OPERATIONS = [
    "requestToken",
    "accessToken",
    "readServer",
    "readToken",
    "renewToken",
    "dropToken",
    "listIcps",
    "readIcp",
    "createIcp",
    "changeIcp",
    "removeIcp",
    "listDevices",
    "readDevice",
    "createDevice",
    "changeDevice",
    "removeDevice",
    "changeDevices",
    "notifyDevice",
    "listRegistrations",
    "listForwards",
    "findOrigin",
    "findOrigins",
    "readForward",
    "createForward",
    "changeForward",
    "removeForward",
]


WITHOUT_INPUT = {"requestToken", "accessToken", "readServer", "readToken", "renewToken", "dropToken", "listForwards"}
"""Nothing can be wrong with what is sent to them."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    """Some of everything; an address that sends what cannot be read is listened to all the same."""
    bounds = WebServicesSettings(failures_per_source=1_000_000)
    with web_site(tmp_path_factory.mktemp("described"), settings=bounds) as running:
        api = Api(running, running.authorised(ALL))
        icp = running.with_node()
        api("POST", "/MBG/v1/devices", json={**DEVICE, "icp_id": icp})
        api("POST", "/OPX/v1/forwards", json={"protocol": "TCP", "ports": "8185", "host": "10.0.0.10"})
        yield running


_numbers = count(1)


def unsecured(description: dict[str, Any]) -> dict[str, Any]:
    """Without the signature, which the session adds to every request; what becomes of others is told elsewhere."""
    paths = {
        path: {method: {**known, "security": []} for method, known in operations.items()}
        for path, operations in description["paths"].items()
    }
    components = {name: value for name, value in description["components"].items() if name != "securitySchemes"}
    return {**description, "paths": paths, "components": components}


def signing(site: WebSite, operation: str, consumer_id: str) -> OAuth1Session:
    """Signed with what the operation wants: a final token, or what there is on the way to one."""
    spec = replace(ALL, consumer_id=consumer_id)
    if operation not in ("requestToken", "accessToken"):
        return site.authorised(spec)
    _, secret = site.consumer(spec)
    if operation == "requestToken":
        return site.session(client_key=consumer_id, client_secret=secret, callback_uri="oob")
    session = site.temporary(secret, client_key=consumer_id)
    session._client.client.verifier = site.approve()
    return session


def inputs() -> Iterator[Any]:
    for operation in OPERATIONS:
        yield pytest.param(operation, GenerationMode.POSITIVE, id=f"{operation}-allowed")
        if operation not in WITHOUT_INPUT:
            yield pytest.param(operation, GenerationMode.NEGATIVE, id=f"{operation}-not-allowed")


@pytest.mark.parametrize(("operation", "mode"), list(inputs()))
def test_each_operation_answers_as_described(site: WebSite, operation: str, mode: GenerationMode) -> None:
    described = schemathesis.openapi.from_dict(unsecured(site.app.description)).find_operation_by_id(operation)
    session = signing(site, operation, f"{operation}-{next(_numbers)}")

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described.as_strategy(generation_mode=mode))
    def try_it(case: Any) -> None:
        case.call_and_validate(base_url=site.url, session=session, checks=CHECKS, verify=site.authority)

    try_it()


def test_every_operation_is_tried_and_every_path_needs_a_signature(site: WebSite) -> None:
    schema = site.app.description
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert sorted(operation["operationId"] for operation in operations) == sorted(OPERATIONS)
    assert all(operation["security"] == [{"oauth1": []}] for operation in operations)
    assert schema["components"]["securitySchemes"]["oauth1"]["scheme"] == "OAuth"
    results = schemathesis.openapi.from_dict(schema).get_all_operations()
    assert sum(isinstance(result, Ok) for result in results) == len(OPERATIONS)


def test_every_valid_token_gets_the_description_with_the_address_it_was_asked_at(site: WebSite) -> None:
    session = site.authorised(replace(ALL, consumer_id="reader", permissions={}))
    served = session.get(f"{site.url}/openapi.json").json()
    assert served.pop("servers") == [{"url": "/webservices"}]
    assert served == site.app.description


def test_every_permission_is_needed_by_some_path() -> None:
    source = Path(__file__).parents[3] / "src" / "opx" / "gateway" / "webservices"
    rooms = ("tokens.py", "icps.py", "devices.py", "phones.py", "forwards.py")
    text = "".join((source / room).read_text() for room in rooms)
    names = ("MANAGE_TOKEN", "ICPS", "DEVICES", "NOTIFY", "REGISTRATIONS", "FORWARDS", "ORIGIN")
    assert len(names) == len(RESOURCES)
    assert [name for name in names if f"caller.needs({name}, " not in text] == []


def test_passwords_are_only_written(site: WebSite) -> None:
    schemas = site.app.description["components"]["schemas"]
    for name in ("set_password", "icp_password"):
        assert "writeOnly" in str(schemas["DeviceWish"]["properties"][name])
        assert name not in schemas["DeviceView"]["properties"]
