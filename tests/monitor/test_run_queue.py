"""The queue of runs of one outermost `observe`."""

from batchfsm.monitor.delivery import DeliveryRun, RunQueue


def test_a_closed_queue_takes_no_run():
    """A run that comes after the last one has ended is delivered by its own `observe`."""
    queue = RunQueue(object(), DeliveryRun("batch_1", None))
    queue.close(KeyboardInterrupt())

    assert not queue.append(DeliveryRun("batch_2", None))
    assert not DeliveryRun("batch_2", None).hand_over(queue)
    assert ["batch_1"] == [run.batch_id for run in queue.close(KeyboardInterrupt())]
