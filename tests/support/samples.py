"""How many of the seeds of a random test are tried, by the profile of Hypothesis."""

from hypothesis import settings


def sample(seeds):
    """
    Return the first of some seeds: all of them, or a tenth in the profile `compat`.

    Args:
        seeds: A range of seeds.
    """
    return seeds[: max(1, len(seeds) * settings().max_examples // 100)]
