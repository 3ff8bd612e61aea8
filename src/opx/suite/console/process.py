"""The entry of the console's process, which the suite's main process keeps."""

from opx.kept.process import serve
from opx.suite.console.service import ConsoleService

if __name__ == "__main__":
    serve(ConsoleService)
