"""
Audits in Spark, for a log larger than a machine: rows are shuffled by batch, workers check the partitions.

The module `driver` runs such an audit. It is loaded only then.
"""


def is_frame(source: object) -> bool:
    """Return whether an object is a DataFrame of Spark, without loading Spark."""
    kind = type(source)
    return kind.__name__ == "DataFrame" and kind.__module__.startswith("pyspark.sql.")
