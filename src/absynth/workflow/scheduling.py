"""What the workflow changes in Snakemake's scheduler."""

from typing import Any

DEFAULT_LIMIT = (100, 1)  # number of job starts, and in how many seconds


def drop_default_rate_limit(scheduler: Any) -> None:
    """Remove Snakemake's default limit of 100 job starts per second; a limit that the user asked for stays.

    With a limit, the scheduler sets a timer each time it goes through the open jobs, whether it delays any or not,
    and goes through them again when the timer ends. So each finished job adds one pass per second for the rest of the
    run, and a long run keeps a core busy with them (Snakemake 9.27).
    """
    limiter = scheduler.job_rate_limiter
    if limiter and (limiter.max_jobs, limiter.timespan) == DEFAULT_LIMIT:
        scheduler.job_rate_limiter = None
