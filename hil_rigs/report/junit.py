"""JUnit XML, as CI servers read it: one test case a scenario, one failure each with its criteria, one error each that
broke or was not finished."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from hil_rigs.campaign import Job, Result


def write_junit(results: Sequence[Result], unfinished: Sequence[Job], path: Path) -> None:
    """Write the document over a file that may be there. `unfinished` is what an interruption left out: an error each,
    so that nobody takes the rest for the whole."""
    suite = ET.Element(
        "testsuite",
        name="hil run",
        tests=str(len(results) + len(unfinished)),
        failures=str(sum(not result.passed and not result.error for result in results)),
        errors=str(sum(bool(result.error) for result in results) + len(unfinished)),
        time=f"{sum(result.took_s for result in results):.3f}",
    )
    for result in results:
        suite.append(_case(result))
    for job in unfinished:
        suite.append(_unfinished(job))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _case(result: Result) -> ET.Element:
    scenario = result.job.scenario
    case = ET.Element("testcase", classname=scenario.rig, name=scenario.name, time=f"{result.took_s:.3f}")
    failed = [verdict for verdict in result.verdicts if not verdict.passed]
    if result.error:
        ET.SubElement(case, "error", message=result.error.splitlines()[-1]).text = result.error
    elif failed:
        lines = [f"{v.criterion}: required {v.required}, measured {v.measured}" for v in failed]
        ET.SubElement(case, "failure", message=lines[0]).text = "\n".join([*lines, f"replay: {result.job.replay}"])
    ET.SubElement(case, "system-out").text = "\n".join(
        [f"{trip.at_s:.3f} s {trip.fault_id} ({trip.target}: {trip.detail})" for trip in result.trips]
    )
    return case


def _unfinished(job: Job) -> ET.Element:
    case = ET.Element("testcase", classname=job.scenario.rig, name=job.scenario.name, time="0.000")
    ET.SubElement(case, "error", message="interrupted: not finished").text = f"replay: {job.replay}"
    return case
