"""Options of the API as keys of a job file: each type of value has its reader here."""

from __future__ import annotations

from collections.abc import Mapping

from batchrunner.api_facts import run_options as api
from batchrunner.inputs.field_types import Boolean, Choice, FieldType, Text, Url, WholeNumber
from batchrunner.inputs.output_schema_field import OutputSchema
from batchrunner.inputs.record_types import Field, KeyRule, ListOf, MapOf, Record

#: Readers of the types without parameters.
_READERS: Mapping[type, FieldType] = {
    api.FlagType: Boolean(),
    api.TextListType: ListOf(item=Text(max_length=1000)),
    api.CountryCodeType: Text(
        max_length=100,
        pattern="[A-Z]{2}",
        expected="two capital letters",
        tip="use the country's ISO code, for example `DE`",
    ),
    api.FlagsType: MapOf(value=Boolean()),
    api.SchemaType: OutputSchema(),
}


def _reader(type_: api.OptionType) -> FieldType:
    match type_:
        case api.WordType(words):
            return Choice(words=words)
        case api.IntegerType(minimum, maximum):
            return WholeNumber(minimum=minimum, maximum=maximum)
        case api.TextType(max_length):
            return Text(max_length=max_length)
        case api.UrlType(schemes):
            return Url(schemes=schemes)
        case api.ObjectType(members, required, needs):
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
