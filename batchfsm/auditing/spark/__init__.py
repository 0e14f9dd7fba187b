"""Audits in Spark, for a log larger than a machine: rows are shuffled by batch, workers check the partitions."""

from batchfsm.auditing.spark.driver import is_frame, run

__all__ = ["is_frame", "run"]
