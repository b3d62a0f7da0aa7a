"""Great Expectations over the measures: one suite a measure, one expectation a check; its Data Docs on request.

Its import takes 3 to 13 s, so it is imported when a judgement is asked for, beside the measuring. Its telemetry is off.
Source: Great Expectations 1.24, https://docs.greatexpectations.io/docs/core/introduction/
"""

import logging
import math
import os
import shutil
import threading
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from schemas.failures import LakeError
from schemas.identifiers import uuid7_of
from schemas.records import DataQualityRow
from sinks.attach import connect, in_one_line
from sinks.quality.frames import FRAMES
from sinks.quality.suites import Check

_MEMORY: Final = "1GB"
_SHOWN: Final = 5
_SITE: Final = "outpulse"


def measured(home: Path, *, threads: int = 2) -> dict[str, Any]:
    """Every measure as a pandas frame, all of one snapshot of the lake.

    Raises:
        LakeError: there is no lake yet, or a measure cannot be taken.
    """
    connection = connect(home, read_only=True, memory_limit=_MEMORY, threads=threads)
    try:
        connection.execute("SET enable_progress_bar = false")
        connection.execute("BEGIN")
        return measures(connection)
    except duckdb.Error as error:
        raise LakeError(f"the lake cannot be measured: {in_one_line(error)}") from error
    finally:
        connection.close()


def measures(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Every measure of what a connection sees."""
    return {name: connection.execute(select).df() for name, select in FRAMES.items()}


def judged(home: Path, checks: Sequence[Check], run_at: datetime, docs: Path | None = None) -> list[DataQualityRow]:
    """The outcome of every check on the lake as it is now; with `docs` the Data Docs are written there.

    Raises:
        LakeError: as `measured`.
    """
    importing = threading.Thread(target=_library)
    importing.start()  # while DuckDB measures
    try:
        frames = measured(home)
    finally:
        importing.join()
    return judge(frames, checks, run_at, docs)


def judge(
    frames: Mapping[str, Any], checks: Sequence[Check], run_at: datetime, docs: Path | None = None
) -> list[DataQualityRow]:
    """The outcome of every check on measures."""
    library = _library()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = library.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        if docs is not None:
            _add_site(context, docs)
        source = context.data_sources.add_pandas("lake")
        results: dict[str, Any] = {}
        for name in sorted({check.frame for check in checks}):
            mine = [check for check in checks if check.frame == name]
            results |= _validated(library, context, source, name, frames[name], mine, run_at)
        if docs is not None:
            context.build_data_docs()
    return [_row(check, results[check.name], run_at) for check in checks]


def _library() -> Any:  # noqa: ANN401 - it has no types for a strict mypy
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():  # of Python's own renamed modules
        warnings.simplefilter("ignore")
        import great_expectations  # noqa: PLC0415 - see the module's docstring
        import great_expectations.expectations  # noqa: PLC0415
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("great_expectations")]:
        logging.getLogger(name).setLevel(logging.ERROR)  # some of its modules set levels of their own
    return great_expectations


def _add_site(context: Any, docs: Path) -> None:  # noqa: ANN401 - as above
    shutil.rmtree(docs, ignore_errors=True)
    docs.mkdir(mode=0o700, parents=True)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.resolve())}
    context.variables.data_docs_sites = {}
    context.add_data_docs_site(
        site_name=_SITE,
        site_config={
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": store,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )


def _validated(
    library: Any,  # noqa: ANN401 - as above
    context: Any,  # noqa: ANN401 - as above
    source: Any,  # noqa: ANN401 - as above
    name: str,
    frame: Any,  # noqa: ANN401 - as above
    checks: Sequence[Check],
    run_at: datetime,
) -> dict[str, Any]:
    """Result by the check's name."""
    suite = library.ExpectationSuite(name=name, expectations=[_expectation(library, check) for check in checks])
    batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("snapshot")
    validation = library.ValidationDefinition(name=name, data=batch, suite=context.suites.add(suite))
    run = library.RunIdentifier(run_name=run_at.strftime("%Y-%m-%dT%H:%M:%SZ"), run_time=run_at)
    result = context.validation_definitions.add(validation).run(batch_parameters={"dataframe": frame}, run_id=run)
    return {one.expectation_config.meta["check"]: one for one in result.results}


def _expectation(library: Any, check: Check) -> Any:  # noqa: ANN401 - as above
    kinds = library.expectations
    notes = {"meta": {"check": check.name}, "notes": f"{check.table}: {check.expectation}"}
    if check.among:
        return kinds.ExpectColumnValuesToBeInSet(column=check.column, value_set=list(check.among), **notes)
    return kinds.ExpectColumnValuesToBeBetween(
        column=check.column, min_value=check.least, max_value=check.most, **notes
    )


def _row(check: Check, result: Any, run_at: datetime) -> DataQualityRow:  # noqa: ANN401 - as above
    observed = failures = None
    if not result.success:
        failures = int(result.result.get("unexpected_count") or 0)
        observed = _told(check, result)
    return DataQualityRow(
        id=uuid7_of(int(run_at.timestamp() * 1000), f"check\x1f{check.name}\x1f{run_at.isoformat()}"),
        run_at=run_at,
        suite=check.suite,
        check_name=f"{check.suite}.{check.name}",
        table_name=check.table,
        kind=check.kind,
        expectation=check.expectation,
        success=bool(result.success),
        severity=check.severity,
        observed=observed,
        failures=failures,
        mend=None if result.success else check.mend,
    )


def _told(check: Check, result: Any) -> str:  # noqa: ANN401 - as above
    raised = (result.exception_info or {}).get("exception_message")
    if raised:
        return f"not judged: {str(raised)[:200]}"
    values = result.result.get("partial_unexpected_list") or []
    shown = ", ".join(_short(value) for value in dict.fromkeys(values[:_SHOWN]))
    return f"{check.column.replace('_', ' ')}: {shown}"


def _short(value: Any) -> str:  # noqa: ANN401 - a cell
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return str(value)[:60]
