"""The general rules: their names, and what each says about a result."""

from __future__ import annotations

from collections.abc import Mapping

EMPTY = "empty"
PLACEHOLDER = "placeholder"
REFUSAL = "refusal"
BOT_WALL = "bot_wall"
LOGIN_WALL = "login_wall"
ERROR_PAGE = "error_page"
NOT_READY = "not_ready"
BANNER = "banner"
REPORTED = "reported"
SCHEMA_ECHO = "schema_echo"
GOAL_COPY = "goal_copy"
BROKEN_JSON = "broken_json"
HTML = "html"
TOO_LARGE = "too_large"

#: General rule → what it says about a result. Of several, the first one decides.
GENERAL_RULES: Mapping[str, str] = {
    BOT_WALL: "The result is a captcha, a refused access or a bot wall",
    LOGIN_WALL: "The result is a login wall",
    ERROR_PAGE: "The result is an error page or an error message",
    BANNER: "The result is a cookie banner or another layer over the page",
    NOT_READY: "The result is a page that loads or is down for maintenance, or only a plan",
    SCHEMA_ECHO: "The result repeats the schema, or the names and types of its fields",
    GOAL_COPY: "The result repeats the goal",
    HTML: "The result is the source of a page",
    BROKEN_JSON: "The result is JSON that is cut off or broken",
    REFUSAL: "The result says that the goal was not reached",
    REPORTED: "The result reports a failure",
    PLACEHOLDER: "The result has only words that stand for nothing",
    EMPTY: "The result is empty",
    TOO_LARGE: "The result is too large to be judged",
}
#: Rules whose finding, if it is all that a result holds, makes it bad.
WALLS = (BOT_WALL, LOGIN_WALL)
