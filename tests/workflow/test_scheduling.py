"""The rate limit of Snakemake's scheduler, on Snakemake's own classes."""

from types import SimpleNamespace

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobRateLimiter

from absynth.workflow.scheduling import drop_default_rate_limit


def limited(*arguments: str) -> SimpleNamespace:
    """A scheduler with the limit of a command line."""
    limit = get_argument_parser().parse_args(arguments).max_jobs_per_timespan
    return SimpleNamespace(job_rate_limiter=JobRateLimiter(limit))


def test_the_default_limit_goes():
    scheduler = limited()
    drop_default_rate_limit(scheduler)
    assert scheduler.job_rate_limiter is None


@pytest.mark.parametrize("limit", ["10/1s", "100/2s"])
def test_a_limit_that_is_asked_for_stays(limit):
    scheduler = limited("--max-jobs-per-timespan", limit)
    given = scheduler.job_rate_limiter
    drop_default_rate_limit(scheduler)
    assert scheduler.job_rate_limiter is given


def test_no_limit_is_no_fault():
    scheduler = SimpleNamespace(job_rate_limiter=None)  # of a dry run
    drop_default_rate_limit(scheduler)
    assert scheduler.job_rate_limiter is None
