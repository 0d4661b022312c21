"""The receiving end of a migration of cloud-hypervisor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from harness.deadline import Deadline, wait_until
from harness.errors import Owner, VmmError
from harness.printable import printable
from harness.process.child import VmmProcess
from harness.unix_socket import is_listened_on
from harness.vmm.base import Incoming, Vm
from harness.vmm.cloud_hypervisor_files import Files
from harness.vmm.http_socket import NoAnswer, Question

T = TypeVar("T")

READY_PATIENCE = 10.0
ARRIVAL_PATIENCE = 20.0
WORDS = 300
"""Characters of a refusal that are shown."""


class CloudHypervisorIncoming(Incoming):
    """A cloud-hypervisor that was told to receive a VM at `place`. `adopt` makes the Vm once it is there.

    The request is answered when the migration has ended, by some builds; others answer when it begins.
    """

    def __init__(
        self, name: str, process: VmmProcess, files: Files, place: Path, adopt: Callable[[], Vm]
    ) -> None:
        super().__init__(place, process)
        self._name, self._files, self._adopt = name, files, adopt
        self._request: Question | None = None
        try:
            self._await("its API", lambda: is_listened_on(files.api))
            self._request = self._ask()
            self._await("its socket for the migration", place.is_socket)
        except BaseException:
            self.stop()
            raise

    def _ask(self) -> Question:
        body = {"receiver_url": f"unix:{self.place}"}
        deadline = Deadline(READY_PATIENCE + ARRIVAL_PATIENCE)
        try:
            return Question(self._files.api, "PUT", "/api/v1/vm.receive-migration", body, deadline)
        except (NoAnswer, TimeoutError) as error:
            self._check_alive("about to receive a VM")
            raise VmmError(f"{self._name} takes no request to receive a VM: {error}") from error

    def _await(self, what: str, probe: Callable[[], T | None]) -> T:
        def look() -> T | None:
            self._check_alive("about to receive a VM")
            return probe()

        return wait_until(
            f"{self._name} to open {what}", look, owed_by=Owner.VMM, within=READY_PATIENCE, last=self._words
        )

    def _words(self) -> str:
        return self.process.tail(3) or "the process runs and says nothing"

    def _check_alive(self, doing: str) -> None:
        if (status := self.process.exit_status()) is not None:
            raise self.process.died(self._name, status, f"while {doing}")

    def arrived(self) -> Vm:
        """Wait for the event that ends the migration, or an answer that says why there is none."""

        def ended() -> bool:
            self._check_alive("receiving a VM")
            if self._files.count_events("migration-receive-failed"):
                raise VmmError(f"{self._name} could not receive the VM: {self._words()}")
            return self._files.count_events("migration-receive-finished") > 0 or self._was_refused()

        within = ARRIVAL_PATIENCE
        wait_until(
            f"{self._name} to receive the VM",
            ended,
            owed_by=Owner.VMM,
            within=within,
            last=self._words,
        )
        self._hang_up()
        return self._adopt()

    def _was_refused(self) -> bool:
        """Raise VmmError if the request was answered with an error; False while it was not."""
        if self._request is None or not self._request.is_answered:
            return False
        try:
            reply = self._request.reply()
        except (NoAnswer, TimeoutError) as error:
            self._check_alive("receiving a VM")
            raise VmmError(
                f"{self._name} answered rubbish to the request to receive a VM: {error}"
            ) from error
        if reply.is_error:
            words = reply.content[:WORDS].decode(errors="replace")
            raise VmmError(f"{self._name} refused to receive a VM (HTTP {reply.status}): {printable(words)}")
        self._hang_up()
        return False

    def _hang_up(self) -> None:
        if self._request is not None:
            self._request.close()
            self._request = None

    def stop(self) -> None:
        """End the process."""
        self._hang_up()
        self.process.stop()
        self._files.remove_sockets()
