"""The records of a message, without keeping the message alive."""

from typing import TypeVar

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

Record = TypeVar("Record", ArrayRecord, MetricRecord, ConfigRecord)


def records_of(content: RecordDict, kind: type[Record]) -> dict[str, Record]:
    """The records of one kind by name.

    ``content.array_records`` and its like tie the content into a reference cycle, so that arrays of any size
    stay in memory until the garbage collector happens to run.
    """
    return {name: record for name, record in content.items() if isinstance(record, kind)}
