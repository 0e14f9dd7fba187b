"""Spark as the engine, for a log larger than a machine: the same core, in workers, bucket by bucket."""

from batchfsm.auditing.spark.run import is_frame, run

__all__ = ["is_frame", "run"]
