"""The entry of the web process, which the gateway's main process keeps."""

from opx.gateway.web.service import WebService
from opx.kept.process import serve

if __name__ == "__main__":
    serve(WebService)
