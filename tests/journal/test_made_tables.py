"""What tests begin journals with is what everybody else does."""

from __future__ import annotations

from sqlalchemy import create_engine

from journal.schema import metadata
from tests.journal import made_tables


def test_the_tables_are_those_of_the_schema() -> None:
    found = []
    for create in (made_tables._as_usual, metadata.create_all):
        engine = create_engine("sqlite://")
        with engine.begin() as connection:
            create(connection)
            tables = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_schema")
            found.append([tuple(row) for row in tables])
        engine.dispose()
    assert metadata.create_all is made_tables._create_all
    assert len(found[0]) > 40
    assert found[0] == found[1]
