"""A whole job file → batch name, settings and job specs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from yaml import YAMLError
from yaml.events import Event, MappingStartEvent, SequenceStartEvent

from batchrunner.inputs.expectations import EXPECT
from batchrunner.inputs.field_types import INVALID, Refused, refuse
from batchrunner.inputs.job_fields import NAME, SECTIONS, SETTINGS_FIELDS
from batchrunner.inputs.job_specs import NO_DEFAULTS, Defaults, JobSpecs, read_defaults
from batchrunner.inputs.mapping.table_entry import is_table_entry, read_table_entry
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar, is_null
from batchrunner.inputs.problem_log import (
    CannotInclude,
    Include,
    Included,
    ProblemLog,
    TooManyProblems,
)
from batchrunner.inputs.record_types import Record, add_unknown
from batchrunner.inputs.source import Source, SourcePosition, decode
from batchrunner.inputs.yaml.composer import Composer, span
from batchrunner.inputs.yaml.syntax_errors import explain
from batchrunner.inputs.yaml.table_entries import PlacedEntry, TableEntries, TableFiles
from batchrunner.model import JobFile, Settings
from batchrunner.model.problems import JobFileErrors

_SETTINGS = Record(fields=SETTINGS_FIELDS)
#: What a shell or another tool replaces by the value of a variable.
_VARIABLE = re.compile(r"\$\{(\w{1,60})[^{}]{0,60}\}|\$([A-Z][A-Z0-9]*_[A-Z0-9_]+)")
_START = SourcePosition(0, 0)
_FIRST_JOB = "start each job with `- url: …`"
_ROOT = "a list of jobs, or a mapping with `jobs`"


#: Reads a file that a job file names: what to show for it, and its bytes; raises CannotInclude.
ReadBeside: TypeAlias = Callable[[str], tuple[str, bytes]]


def parse(
    text: bytes | str,
    *,
    file: str,
    name: str,
    files: TableFiles | None = None,
    read_beside: ReadBeside | None = None,
) -> JobFile:
    """Read a job file; *file* is shown in problems, *name* is the batch's name if it gives none.

    Entries with `from` or `matrix` load tables, where *files* opens these; *read_beside* reads a
    schema that is a file.

    An option of a job replaces the whole default value, and `null` removes it. White space around a
    text does not count. A job without an `id` is identified by a digest of its content.

    Raises JobFileErrors with every problem in the file.
    """
    source = decode(text, file)
    include = read_beside and partial(_include, read_beside)
    new_pass = partial(_FilePass, source, name, include=include, has_tables=files is not None)
    file_pass = new_pass()
    file_pass.run()
    if file_pass.late_defaults is not None:
        # They are below the jobs: read the jobs again with these defaults.
        file_pass = new_pass(file_pass.late_defaults)
        file_pass.run()
    return file_pass.result(files)


def parse_expect(text: bytes | str, *, file: str) -> dict[str, Any]:
    """Read a file that holds the value of `expect` alone; *file* is shown in problems.

    Raises JobFileErrors with every problem in the file.
    """
    source = decode(text, file)
    log = ProblemLog(source)
    node = _only_node(source, log)
    expect: dict[str, Any] | Refused = {}
    if node is not None:
        expect = EXPECT.read(node, "the file", log)
    if (problems := log.problems()) or expect is INVALID:
        raise JobFileErrors(problems)
    return expect


class Head(NamedTuple):
    """What a job file says beside its jobs."""

    settings: Settings
    defaults: Defaults
    warnings: tuple[str, ...] = ()


NO_HEAD = Head(Settings(), NO_DEFAULTS)


def parse_head(text: bytes | str, *, file: str, read_beside: ReadBeside | None = None) -> Head:
    """Read the `settings` and `defaults` of a mapping without jobs; *file* is shown in problems.

    Raises JobFileErrors with every problem.
    """
    source = decode(text, file)
    log = ProblemLog(source, read_beside and partial(_include, read_beside))
    node = _only_node(source, log)
    found = node.nodes if isinstance(node, Pairs) else {}
    settings, defaults = Settings(), NO_DEFAULTS
    if "settings" in found:
        values = _SETTINGS.read(found["settings"][1], "`settings`", log)
        settings = settings if values is INVALID else Settings(**values)
    if "defaults" in found:
        # Without the place of the goal: what is wrong with it is about the table.
        defaults = read_defaults(found["defaults"][1], log)._replace(goal=None)
    if problems := log.problems():
        raise JobFileErrors(problems)
    return Head(settings, defaults, tuple(log.warnings()))


def _include(read_beside: ReadBeside, name: str) -> Included:
    shown, content = read_beside(name)
    try:
        source = decode(content, shown)
    except JobFileErrors as errors:
        first = errors.problems[0]
        raise CannotInclude(f"{shown}: {first.message}", first.tip) from None
    log = ProblemLog(source)
    node = _only_node(source, log)
    return Included(root=None if log.problems() else node, log=log)


def _only_node(source: Source, log: ProblemLog) -> Node | None:
    """Return the node of a file that holds a single value; None, with problems, if it does not."""
    composer = Composer(source.text, log)
    try:
        event = composer.root()
        if event is None:
            log.add_at("the file is empty, or has only comments", _START)
            return None
        node = composer.value(event)
        composer.finish()
    except YAMLError as error:
        explain(error, source, log)
        return None
    except TooManyProblems:
        return None
    return node


class _FilePass:
    """One pass over a file, with the nodes of no more than one entry in memory."""

    def __init__(
        self,
        source: Source,
        name: str,
        defaults: Defaults | None = None,
        *,
        include: Include | None = None,
        has_tables: bool = False,
    ) -> None:
        self.late_defaults: Defaults | None = None
        self._has_tables = has_tables
        self._tables: list[PlacedEntry] = []
        self._source = source
        self._log = ProblemLog(source, include)
        self._composer = Composer(source.text, self._log)
        self._name = name
        self._settings = Settings()
        self._known_defaults = defaults
        self._defaults = defaults or NO_DEFAULTS
        self._jobs = self._new_jobs(self._defaults)
        self._read: set[str] = set()

    def run(self) -> None:
        """Read the file to its end, or up to a syntax error or a limit."""
        try:
            self._root()
        except TooManyProblems:
            return
        except YAMLError as error:
            explain(error, self._source, self._log)
            return
        if "name" not in self._read:
            self._take_name(Scalar(_START, _START, self._name, plain=False), "the batch's name")

    def result(self, files: TableFiles | None = None) -> JobFile:
        """Return the job file; raises JobFileErrors if there are problems."""
        if self._tables and files is not None:
            entries = TableEntries(files, self._source, self._log, self._defaults)
            return entries.result(self._job_file(), self._tables)
        if problems := self._log.problems():
            raise JobFileErrors(problems)
        return self._job_file()

    def _job_file(self) -> JobFile:
        return JobFile(
            name=self._name,
            settings=self._settings,
            specs=self._jobs.specs,
            duplicates=self._jobs.duplicates,
            warnings=(*self._log.warnings(), *self._repeated(), *self._unreplaced()),
        )

    def _repeated(self) -> Iterator[str]:
        """Yield warnings of duplicates, and of those whose policies differ."""
        if lines := self._jobs.repeated_lines:
            named = ", ".join(f"line {line} repeats line {first}" for line, first in lines)
            more = self._jobs.duplicates - len(lines)
            yield (
                f"{self._source.file}: {self._jobs.duplicates} of the jobs are given twice, and "
                f"run once: {named}{f' and {more} more' if more else ''}"
            )
        if count := self._jobs.other_policies:
            entries = (
                "1 entry repeats another one" if count == 1 else f"{count} entries repeat others"
            )
            yield (
                f"{self._source.file}: {entries} but for `policy`: the first one's counts; "
                "give each an `id` to run it for itself"
            )

    def _unreplaced(self) -> Iterator[str]:
        """Yield a warning if goals name variables, which other tools would replace."""
        found = [
            (spec.line, match[1] or match[2])
            for spec in self._jobs.specs
            if "$" in spec.goal and (match := _VARIABLE.search(spec.goal))
        ]
        if found:
            line, variable = found[0]
            more = f" (and in {len(found) - 1} more)" if len(found) > 1 else ""
            yield (
                f"{self._source.file}:{line}: ${{{variable}}} is sent as it stands{more}: "
                "variables are not replaced; for logins there is the vault: `batchrunner vault`"
            )

    def _root(self) -> None:
        event = self._composer.root()
        if isinstance(event, MappingStartEvent):
            self._sections(event)
        elif isinstance(event, SequenceStartEvent):
            self._entries(event, "the file")
        else:
            self._nothing(event)
        if event is not None:
            self._composer.finish()

    def _nothing(self, event: Event | None) -> None:
        node = None if event is None else self._composer.value(event)
        if node is None or is_null(node):
            message = "the file is empty, or has only comments"
            self._log.add_at(message, _START, tip=_FIRST_JOB)
        else:
            refuse("a job file", _ROOT, node, self._log, _FIRST_JOB)

    def _sections(self, start: MappingStartEvent) -> None:
        for key, event in self._composer.sections(start):
            self._read.add(key.text)
            if key.text == "jobs":
                self._entries(event, "`jobs`")
            else:
                self._section(key, self._composer.value(event))
        if self._read.isdisjoint(("jobs", "url", "goal")):
            self._log.add_at(
                "the file has no `jobs`",
                _START,
                tip="list them below `jobs:`, or name a table: jobs: {from: pages.csv}",
            )

    def _section(self, key: Scalar, node: Node) -> None:
        match key.text:
            case "name":
                self._take_name(node, "`name`")
            case "settings":
                self._take_settings(node)
            case "defaults":
                self._take_defaults(node)
            case "url" | "goal":
                message = f"`{key.text}` stands outside of a job"
                self._log.add(message, key, "list the jobs below `jobs:`, each behind a `- `")
            case _:
                add_unknown(key, SECTIONS, "the file", self._log)

    def _take_name(self, node: Node, called: str) -> None:
        name = NAME.read(node, called, self._log)
        if name is not INVALID:
            self._name = name

    def _take_settings(self, node: Node) -> None:
        values = _SETTINGS.read(node, "`settings`", self._log)
        if values is not INVALID:
            self._settings = Settings(**values)

    def _take_defaults(self, node: Node) -> None:
        defaults = read_defaults(node, self._log)
        if "jobs" not in self._read:
            self._defaults = defaults
            self._jobs = self._new_jobs(defaults)
        elif self._known_defaults is None:
            self.late_defaults = defaults

    def _entries(self, event: Event, called: str) -> None:
        if isinstance(event, SequenceStartEvent):
            nodes: Iterable[Node] = self._composer.entries(event)
        else:
            node = self._composer.value(event)
            nodes = node.nodes if isinstance(node, Items) else ()
            if self._has_tables and called == "`jobs`" and is_table_entry(node):
                nodes = (node,)
            elif not isinstance(node, Items) and not is_null(node):
                refuse(called, "a list of jobs", node, self._log, _FIRST_JOB)
                return
        number = 0
        for number, node in enumerate(nodes, start=1):
            if self._has_tables and is_table_entry(node):
                self._add_table(node, f"job {number}" if number > 1 else called)
            else:
                self._jobs.add(number, node, is_cut=self._composer.is_cut)
        if not number:
            self._log.add(f"{called} lists no jobs", span(event), _FIRST_JOB)

    def _add_table(self, node: Node, called: str) -> None:
        assert isinstance(node, Pairs)
        if (entry := read_table_entry(node, called, self._log)) is not None:
            self._tables.append(PlacedEntry(self._jobs.count, entry))

    def _new_jobs(self, defaults: Defaults) -> JobSpecs:
        return JobSpecs(self._log, self._composer.is_shared, defaults)
