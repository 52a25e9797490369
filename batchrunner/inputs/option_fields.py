"""Options of the API as keys of a job file: each type of value has its reader here."""

from __future__ import annotations

from collections.abc import Mapping

from batchrunner.api_facts import options as api
from batchrunner.inputs.field_types import Boolean, Choice, FieldType, Text, Url, WholeNumber
from batchrunner.inputs.output_schema import OutputSchema
from batchrunner.inputs.record_types import Field, KeyRule, ListOf, MapOf, Record

#: Readers of the types without parameters.
_READERS: Mapping[type, FieldType] = {
    api.Flag: Boolean(),
    api.TextList: ListOf(item=Text(longest=1000)),
    api.CountryCode: Text(
        longest=100,
        pattern="[A-Z]{2}",
        says="two capital letters",
        tip="use the country's ISO code, for example `DE`",
    ),
    api.FlagsByName: MapOf(value=Boolean()),
    api.ResultSchema: OutputSchema(),
}


def _reader(type_: api.OptionType) -> FieldType:
    match type_:
        case api.OneOf(words):
            return Choice(words=words)
        case api.WholeNumber(minimum, maximum):
            return WholeNumber(least=minimum, most=maximum)
        case api.Text(max_length):
            return Text(longest=max_length)
        case api.UrlText(schemes):
            return Url(schemes=schemes)
        case api.Object(members, required, needs):
            rules = tuple(KeyRule(*need) for need in needs)
            return Record(fields=_fields(members), required=required, rules=rules)
        case _:
            return _READERS[type(type_)]


def _fields(options: tuple[api.Option, ...]) -> Mapping[str, Field]:
    return {option.name: Field(_reader(option.type), option.meaning) for option in options}


#: The options as keys of a job, in the order in which the API's facts list them.
OPTIONS = _fields(api.OPTIONS)

#: What the merged options of a job need of each other.
OPTION_RULES = tuple(KeyRule(*need) for need in api.OPTION_NEEDS)
