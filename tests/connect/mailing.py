"""A Celery application whose runs ask a keeper: what the processes of a real worker load.

KEEPER, TOKEN and FOLDER in the environment say whom it asks, with what, and where its broker and its record are.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from celery import Celery

import headway
from headway.adapters.celery import limited

WORK_S = 0.05


def broker(folder: Path) -> Celery:
    """An application on a broker of files, without tasks: enough to send some."""
    queue = folder / "queue"
    queue.mkdir(exist_ok=True)
    app = Celery("shop", broker="filesystem://", set_as_current=False)
    app.conf.broker_transport_options = {
        "data_folder_in": str(queue),
        "data_folder_out": str(queue),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.02,
    }
    return app


def record(folder: Path) -> Path:
    """Where every run writes `name process retries from to`, in nanoseconds."""
    return folder / "runs"


if "KEEPER" in os.environ:
    FOLDER = Path(os.environ["FOLDER"])
    app = broker(FOLDER)
    hw = headway.connect(os.environ["KEEPER"], token=os.environ["TOKEN"])
    # Made before the fork, as in any application whose tasks stand in a module.
    reports = hw.limiter("db", "reports")

    @app.task(base=limited(reports, ask_again_s=0.05), bind=True, max_retries=0, name="report")
    def report(self: Any, name: str) -> None:
        since = time.monotonic_ns()
        threading.Event().wait(WORK_S)
        line = f"{name} {os.getpid()} {self.request.retries} {since} {time.monotonic_ns()}\n"
        with record(FOLDER).open("a") as runs:
            runs.write(line)
