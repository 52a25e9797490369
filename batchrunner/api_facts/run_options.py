"""The options of a run request: one row each, with its type, its meaning and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from batchrunner.api_facts.limits import MAX_STEPS

# ---- types of values; `inputs.option_fields` reads each of them from a job file ----


class FlagType(NamedTuple):
    """True or false."""


class WordType(NamedTuple):
    """One of a few words."""

    words: tuple[str, ...]


class IntegerType(NamedTuple):
    """A whole number between two bounds."""

    minimum: int
    maximum: int | None = None


class TextType(NamedTuple):
    """One line of text."""

    max_length: int = 1000


class TextListType(NamedTuple):
    """A list of texts."""


class CountryCodeType(NamedTuple):
    """Two capital letters; the sources disagree on which countries there are."""


class UrlType(NamedTuple):
    """An absolute url; an empty tuple of schemes allows any."""

    schemes: tuple[str, ...] = ()


class FlagsType(NamedTuple):
    """A mapping of any names to true or false."""


class SchemaType(NamedTuple):
    """The part of JSON Schema that `output_schema` may be written in."""


class ObjectType(NamedTuple):
    """A mapping with known members."""

    members: tuple[Option, ...]
    required: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()


OptionType: TypeAlias = (
    FlagType
    | WordType
    | IntegerType
    | TextType
    | TextListType
    | CountryCodeType
    | UrlType
    | FlagsType
    | SchemaType
    | ObjectType
)


# ---- rows ----


class Need(NamedTuple):
    """An option that is refused unless another one is set."""

    key: str
    needs: str
    given: Any = None  #: the value of `key` for which this counts; None: any
    value: Any = None  #: what the other option must be; None: anything, but set
    default: Any = None  #: what the other option is if it is not set


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """An option of a run request, or a member of one; no source gives an option its own price."""

    name: str  #: as the API spells it
    type: OptionType
    meaning: str  #: for the documentation of job files
    needs_right: bool = False  #: an account without the right to it gets a 403 (Agent reference)
    #: An escalation step may change it: it is about how a page is reached, not what is wanted.
    escalates: bool = False
    #: It names something that the account owns, so a 404 to a create may be about it.
    names_property: bool = False
    #: The agent does the same whatever its value: it is about limits, reports and what is kept.
    keeps_question: bool = False
    default: Any = None  #: what the API takes it to be where it is left out; None: not known


_PROXY = ObjectType(
    members=(
        Option(
            name="enabled",
            type=FlagType(),
            meaning="whether the run goes through a proxy",
            default=False,
        ),
        Option(
            name="type",
            type=WordType(("tetra", "custom")),
            meaning="the service's proxies, or your own",
            default="tetra",
        ),
        Option(
            name="country_code",
            type=CountryCodeType(),
            meaning="the country that a tetra proxy is in",
        ),
        Option(name="url", type=UrlType(), meaning="your own proxy"),
        Option(
            name="username",
            type=TextType(),
            meaning="the user at your own proxy",
            keeps_question=True,
        ),
        Option(
            name="password",
            type=TextType(),
            meaning="the password at your own proxy",
            keeps_question=True,
        ),
    ),
    required=("enabled",),
    needs=(
        Need("type", needs="url", given="custom"),
        Need("country_code", needs="type", value="tetra", default="tetra"),
        Need("url", needs="type", value="custom"),
        Need("username", needs="type", value="custom"),
        Need("password", needs="type", value="custom"),
    ),
)

_AGENT = ObjectType(
    members=(
        Option(
            name="mode",
            type=WordType(("default", "strict")),
            meaning="how closely the goal is followed",
            default="default",
            needs_right=True,
        ),
        Option(
            name="max_steps",
            type=IntegerType(1, MAX_STEPS),
            meaning="maximum steps of a run; steps are what it costs",
            keeps_question=True,
            needs_right=True,
        ),
        Option(
            name="max_duration_seconds",
            type=IntegerType(1),
            meaning="maximum duration of a run",
            keeps_question=True,
        ),
        Option(
            name="cursor_style",
            type=WordType(("fish", "standard", "green-pointer")),
            meaning="the cursor drawn in recordings",
            keeps_question=True,
        ),
    )
)

_CAPTURE = ObjectType(
    members=(
        Option(name="screenshots", type=FlagType(), meaning="keep a screenshot of each step"),
        Option(name="snapshots", type=FlagType(), meaning="keep a snapshot of each step"),
        Option(name="html", type=FlagType(), meaning="keep the page's HTML at each step"),
        Option(
            name="elements",
            type=FlagType(),
            meaning="keep the page's elements at each step",
            needs_right=True,
        ),
        Option(name="recording", type=FlagType(), meaning="keep a video", needs_right=True),
    )
)

#: Every option of a run request beside `url` and `goal`. A new option is a new row.
OPTIONS: tuple[Option, ...] = (
    Option(
        name="browser_profile",
        type=WordType(("lite", "stealth")),
        meaning="the browser that is used",
        default="lite",
        escalates=True,
    ),
    Option(
        name="proxy_config",
        type=_PROXY,
        meaning="the proxy that the browser goes through",
        escalates=True,
    ),
    Option(
        name="agent_config",
        type=_AGENT,
        meaning="limits and behaviour of the agent",
        escalates=True,
    ),
    Option(
        name="capture_config", type=_CAPTURE, meaning="what to keep of the run", keeps_question=True
    ),
    Option(
        name="output_schema",
        type=SchemaType(),
        meaning="the shape that the result must have",
        needs_right=True,
    ),
    Option(
        name="use_vault",
        type=FlagType(),
        meaning="let the run use stored credentials",
        default=False,
        escalates=True,
        names_property=True,
    ),
    Option(
        name="credential_item_ids",
        type=TextListType(),
        meaning="use these credentials only; needs use_vault",
        escalates=True,
        names_property=True,
    ),
    Option(
        name="use_profile",
        type=FlagType(),
        meaning="start from a saved browser profile",
        default=False,
        escalates=True,
        names_property=True,
    ),
    Option(
        name="profile_id",
        type=TextType(),
        meaning="the profile to start from; needs use_profile",
        escalates=True,
        names_property=True,
    ),
    Option(
        name="webhook_url",
        type=UrlType(("https",)),
        meaning="an address that the API calls when the run ends",
        keeps_question=True,
    ),
    Option(
        name="api_integration",
        type=TextType(),
        meaning="the name of the tool that calls the API",
        keeps_question=True,
    ),
    Option(
        name="feature_flags",
        type=FlagsType(),
        meaning="switches of the API, by name",
        escalates=True,
    ),
)

#: What the options of one run need of each other.
OPTION_NEEDS = (
    Need("credential_item_ids", needs="use_vault", value=True),
    Need("profile_id", needs="use_profile", value=True),
)


# ---- what follows from the rows ----


def _gated_members(option: Option) -> tuple[str, ...]:
    members = option.type.members if isinstance(option.type, ObjectType) else ()
    return tuple(member.name for member in members if member.needs_right)


#: The names of all options, in their order.
RUN_OPTIONS = tuple(option.name for option in OPTIONS)
#: Option that needs a right → its members that need it; none if the option itself does.
OPTIONS_BEHIND_A_RIGHT: Mapping[str, tuple[str, ...]] = {
    option.name: _gated_members(option)
    for option in OPTIONS
    if option.needs_right or _gated_members(option)
}
#: Options that an escalation step may change.
ESCALATION_OPTIONS = tuple(option.name for option in OPTIONS if option.escalates)
#: Options that name what the account owns, and that the API may not find.
OPTIONS_NAMING_PROPERTY = tuple(option.name for option in OPTIONS if option.names_property)
