"""What a consumer is told when something is refused, and what nobody is told."""

from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field


class Mistake(BaseModel):
    """One mistake in what was sent; the value itself is never repeated, for it may be a password."""

    where: str
    message: str


class Problem(BaseModel):
    """Why a request was refused."""

    error: str = Field(description="A word for programs", examples=["clock_skew"])
    message: str = Field(description="A sentence for people")
    field: str | None = Field(default=None, description="What of the request is at fault")
    mistakes: list[Mistake] | None = None
    id: int | None = Field(default=None, description="Of what is stored already")
    version: int | None = Field(default=None, description="The version that is stored")
    server_time: int | None = Field(default=None, description="The gateway's time, seconds since 1970")


class Stranger(Exception):
    """A request that does not prove whose it is. It gets 401 and no word; the text is for the gateway's own log."""


class Refused(Exception):
    """A request of a known consumer that is not carried out."""

    def __init__(self, status: int, error: str, message: str, retry_after: float = 0.0, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.problem = Problem(error=error, message=message, **more)

    def response(self) -> Response:
        headers = {"Cache-Control": "no-store"}
        if self.retry_after:
            headers["Retry-After"] = str(int(self.retry_after) + 1)
        if self.status == 401:
            headers["WWW-Authenticate"] = CHALLENGE
        if self.problem.version is not None:
            headers["ETag"] = etag(self.problem.version)
        body = self.problem.model_dump(exclude_none=True)
        return JSONResponse(body, self.status, headers)


CHALLENGE = 'OAuth realm="OPX gateway"'
"""Of every 401 (RFC 9110 section 11.6.1)."""


def etag(version: int) -> str:
    return f'"{version}"'
