"""The entry of the handsets' process, which the suite's main process keeps."""

from opx.kept.process import serve
from opx.suite.handsets.service import HandsetService

if __name__ == "__main__":
    serve(HandsetService)
