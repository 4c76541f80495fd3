"""The slowest files of a run, by processor seconds: what a busy machine does not change."""

import os
from collections import defaultdict
from collections.abc import Generator
from operator import itemgetter

import pytest

SLOWEST = 10
_PROPERTY = "processor_seconds"


def _processor() -> float:
    """Seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


class Seconds:
    """Measures each test where it runs; adds up by file where the results come together."""

    def __init__(self) -> None:
        self._since = _processor()
        self._wall: dict[str, float] = defaultdict(float)
        self._processor: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Leave out what came between two tests."""
        self._since = _processor()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put what the phase took on its report, which travels between processes."""
        report = yield
        now = _processor()
        vars(report)[_PROPERTY] = now - self._since
        self._since = now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add one phase of one test to its file."""
        file = report.nodeid.partition("::")[0]
        self._wall[file] += report.duration
        self._processor[file] += vars(report).get(_PROPERTY, 0.0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The files that took most."""
        total = sum(self._processor.values())
        slowest = sorted(self._processor.items(), key=itemgetter(1), reverse=True)[:SLOWEST]
        terminalreporter.section(f"slowest files of {total:.0f} processor seconds")
        for file, seconds in slowest:
            terminalreporter.write_line(f"{seconds:7.1f}s ({self._wall[file]:.1f}s wall) {file}")
