"""The `[web_services]` table of the gateway's settings file. Times in seconds, sizes in bytes, unless a field says
otherwise."""

from typing import Annotated

from pydantic import Field

from opx.settings_fields import Table


class WebServicesSettings(Table):
    """Bounds of the web services API."""

    clock_skew: Annotated[float, Field(ge=10, le=3600)] = 300.0
    """How far a request's time may be from the gateway's. Requests are remembered for twice as long, against replay."""
    temporary_lifetime: Annotated[float, Field(ge=60)] = 3600.0
    """Within this an administrator has to approve a request for access, and the consumer to come back for it."""
    token_days: Annotated[int, Field(ge=1, le=3650)] = 365
    """Days that a final token holds."""
    keep_ended: Annotated[int, Field(ge=0)] = 30
    """Days that expired and revoked tokens stay to be seen."""
    temporary_tokens: Annotated[int, Field(ge=1)] = 10
    """Requests for access of one consumer that wait at the same time; the oldest gives way."""
    final_tokens: Annotated[int, Field(ge=1)] = 10
    """Tokens of one consumer that hold at the same time."""
    verifier_tries: Annotated[int, Field(ge=1)] = 5
    """Wrong verifiers after which a temporary token is void."""
    failures_per_source: Annotated[int, Field(ge=1)] = 20
    """Refused requests of one address within `failures_window`, after which it is not listened to for a while."""
    failures_window: Annotated[float, Field(gt=0)] = 60.0
    requests_remembered: Annotated[int, Field(ge=100)] = 50_000
    """Requests of one consumer within twice `clock_skew`; more are told to wait."""
    body_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    """Longest body of a request."""
    page_size: Annotated[int, Field(ge=1)] = 500
    """Most entries of a page."""
    bulk_size: Annotated[int, Field(ge=1)] = 500
    """Most entries of a bulk write."""
