"""What the workflow changes in Snakemake's scheduler."""

from typing import Any

DEFAULT_LIMIT = (100, 1)  # job starts in so many seconds


def drop_default_rate_limit(scheduler: Any) -> None:
    """Take Snakemake's default limit of 100 job starts a second away; one that is asked for stays.

    For jobs that the limit holds back the scheduler sets a timer whenever it looks at the open jobs, whether it
    holds one back or not, and looks at them again when the time is up. So each finished job adds a look a second for
    the rest of the run, and a long run keeps a core busy with looking (Snakemake 9.27).
    """
    limiter = scheduler.job_rate_limiter
    if limiter and (limiter.max_jobs, limiter.timespan) == DEFAULT_LIMIT:
        scheduler.job_rate_limiter = None
