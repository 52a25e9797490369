"""Made-up nights of several kinds of data, which change from day to day as real pages do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from batchrunner.quality.profile import Profile, ProfileRow

Answer = dict[str, Any]
#: (random generator, number of the job, host) → the answer of a job that never changes.
Maker = Callable[[random.Random, int, str], Answer]

NOUNS = {
    "English": (
        "lamp",
        "table",
        "chair",
        "sofa",
        "shelf",
        "mirror",
        "carpet",
        "curtain",
        "vase",
        "clock",
        "desk",
        "bed",
    ),
    "German": (
        "Lampe",
        "Tisch",
        "Stuhl",
        "Sofa",
        "Regal",
        "Spiegel",
        "Teppich",
        "Vorhang",
        "Vase",
        "Uhr",
        "Bett",
        "Schrank",
    ),
    "French": (
        "lampe",
        "table",
        "chaise",
        "canapé",
        "étagère",
        "miroir",
        "tapis",
        "rideau",
        "vase",
        "horloge",
        "lit",
    ),
    "Russian": (
        "лампа",
        "стол",
        "стул",
        "диван",
        "полка",
        "зеркало",
        "ковёр",
        "штора",
        "ваза",
        "часы",
        "кровать",
    ),
}
SENTENCES = {
    "English": "The {} is made of oak and comes with a warranty of two years for your home.",
    "German": "Die {} ist aus Eiche und wird mit einer Garantie von zwei Jahren für Sie geliefert.",
    "French": "La {} est faite avec du chêne et livrée dans les deux jours pour votre maison.",
    "Russian": "Эта {} сделана из дуба и поставляется с гарантией на два года для вашего дома.",
}


def _noun(r: random.Random, language: str = "English") -> str:
    return f"{r.choice(NOUNS[language])} {r.choice('ABCDEFGH')}{r.randrange(10, 999)}"


def shop(r: random.Random, number: int, host: str) -> Answer:
    """Return a product with its price as text."""
    return {
        "title": f"{_noun(r)} classic",
        "price": f"${r.uniform(5, 400):,.2f}",
        "old_price": f"${r.uniform(400, 600):,.2f}" if r.random() < 0.4 else None,
        "availability": r.choice(["in stock", "in stock", "in stock", "out of stock"]),
        "rating": round(r.uniform(2.5, 5), 1),
        "reviews": int(10 ** r.uniform(0, 3.5)),
        "sku": f"SK-{number:05d}-{r.randrange(100)}",
        "weight": f"{r.uniform(0.2, 30):.1f} kg",
        "description": SENTENCES["English"].format(_noun(r)),
    }


def numeric_shop(r: random.Random, number: int, host: str) -> Answer:
    """Return a product with its price as a number and a currency of its own."""
    euro = host.endswith(".de")
    return {
        "name": _noun(r),
        "price": round(10 ** r.uniform(0.8, 2.8), 2),
        "currency": "EUR" if euro else "USD",
        "in_stock": r.random() < 0.7,
        "stock": r.randrange(0, 200),
        "brand": r.choice(["Northwind", "Contoso", "Acme", "Globex", "Initech"]),
        "ean": f"40{number:011d}",
    }


def job_ad(r: random.Random, number: int, host: str) -> Answer:
    """Return a job advertisement."""
    salary = r.randrange(35, 120) * 1000
    return {
        "title": r.choice(["Nurse", "Developer", "Driver", "Cook", "Teacher", "Welder"])
        + r.choice(["", " (part time)", " in the night shift", " for our new site"]),
        "company": f"{r.choice('KLMNOP')}{r.randrange(1000)} Ltd",
        "salary": f"£{salary:,} per year" if r.random() < 0.8 else None,
        "location": r.choice(["Leeds", "York", "Hull", "Bath", "Derby", "Ely"]),
        "remote": r.random() < 0.3,
        "posted": f"2026-11-{r.randrange(1, 29):02d}",
        "skills": [r.choice(("Go", "SQL", "C++", "care", "CPR")) for _ in range(r.randrange(3, 9))],
        "text": SENTENCES["English"].format("work for this job"),
    }


def flat(r: random.Random, number: int, host: str) -> Answer:
    """Return a flat for sale."""
    area = r.randrange(28, 220)
    return {
        "address": f"{r.choice(['Elm', 'Oak', 'Ash', 'Fir'])} Street {r.randrange(1, 200)}",
        "price": area * r.randrange(2500, 6000),
        "area": f"{area} m²",
        "rooms": max(1, area // 28),
        "year": r.randrange(1900, 2026),
        "floor": r.randrange(0, 8) if r.random() < 0.85 else None,
        "agent": {
            "name": f"Agent {r.randrange(40)}",
            "phone": f"+49 30 {r.randrange(10**6, 10**7)}",
        },
        "url": f"https://{host}/flat/{number}",
    }


def listing(r: random.Random, number: int, host: str) -> Answer:
    """Return a page with a list of products."""
    count = r.randrange(15, 26)
    return {
        "category": f"{_noun(r)}s",
        "total": count * r.randrange(1, 9),
        "items": [
            {
                "name": _noun(r),
                "price": round(r.uniform(3, 90), 2),
                "seller": r.choice(["Ann", "Bob", "Cem", "Dia"]) if r.random() < 0.9 else None,
            }
            for _ in range(count)
        ],
    }


def languages(r: random.Random, number: int, host: str) -> Answer:
    """Return a product in the language of its host."""
    of_host = {"de": "German", "fr": "French", "ru": "Russian"}
    language = of_host.get(host.rsplit(".", 1)[-1], "English")
    signs = {"German": "{:.2f} €", "French": "{:.2f} €", "Russian": "{:.0f} ₽"}
    sign = signs.get(language, "£{:.2f}")
    return {
        "name": _noun(r, language),
        "price": sign.format(r.uniform(10, 900)).replace(".", "," if "€" in sign else "."),
        "text": SENTENCES[language].format(_noun(r, language)),
        "stars": r.choice([3, 3.5, 4, 4.5, 5]),
    }


@dataclass(frozen=True)
class Data:
    """A kind of data: how an answer is made, and on which hosts."""

    make: Maker
    hosts: tuple[str, ...] = tuple(f"shop{letter}.example" for letter in "abcdef")
    prices: tuple[str, ...] = ("price",)


KINDS: dict[str, Data] = {
    "shop": Data(shop),
    "numeric shop": Data(numeric_shop, ("one.de", "two.de", "three.com", "four.com", "five.com")),
    "job ads": Data(job_ad, tuple(f"jobs{n}.example" for n in range(8)), ("salary",)),
    "flats": Data(flat, ("homes.example", "flats.example", "estate.example")),
    "listings": Data(listing, ("market.example", "bazaar.example", "depot.example"), ()),
    "languages": Data(languages, ("laden.de", "boutique.fr", "lavka.ru", "store.uk")),
}


@dataclass
class Night:
    """The answers of one night, by job, before they become rows."""

    answers: dict[tuple[str, str], Answer]  #: (key, host) → answer
    failed: set[str] = field(default_factory=set)
    suspect: set[str] = field(default_factory=set)

    def rows(self, seed: int = 0) -> list[ProfileRow]:
        """Return the night's rows in an order of its own."""
        made = [*self._rows()]
        random.Random(seed).shuffle(made)
        return made

    def _rows(self) -> Iterator[ProfileRow]:
        for (key, host), answer in self.answers.items():
            url = f"https://{host}/p/{key}"
            if key in self.failed:
                yield ProfileRow(key, url, host, "failed", "bad", "goal_failure")
            else:
                verdict = "suspect" if key in self.suspect else "good"
                reason = "empty" if verdict == "suspect" else None
                yield ProfileRow(key, url, host, "succeeded", verdict, reason, json.dumps(answer))

    def profile(self, seed: int = 0) -> Profile:
        """Return the profile of the night's rows."""
        return Profile().add_all(self.rows(seed))


def night(kind: str, jobs: int, day: int = 0, seed: int = 1, hosts: tuple[str, ...] = ()) -> Night:
    """
    Return what a night's jobs answer; the day changes prices, and what is missing by accident.

    The answers of a job are the same on every day but for that.
    """
    data = KINDS[kind]
    hosts = hosts or data.hosts
    answers: dict[tuple[str, str], Answer] = {}
    for number in range(jobs):
        host = hosts[number % len(hosts)]
        answer = data.make(random.Random(f"{kind} {seed} {number}"), number, host)
        answers[(f"{kind}-{seed}-{number}", host)] = answer
    found = Night(answers)
    if day:
        natural_changes(found, data, random.Random(f"{kind} {day} {seed}"))
    return found


def natural_changes(found: Night, data: Data, r: random.Random) -> None:
    """Move prices by up to 30%, and lose 5% of the values."""
    for answer in found.answers.values():
        for path in data.prices:
            if answer.get(path) is not None:
                answer[path] = scaled(answer[path], r.uniform(0.7, 1.3))
        if answer.get("stock"):
            answer["stock"] = max(0, answer["stock"] - r.randrange(0, 60))
        answer.update({name: None for name in answer if r.random() < 0.05})
    for key, _ in found.answers:
        if r.random() < 0.02:
            (found.failed if r.random() < 0.5 else found.suspect).add(key)


def scaled(value: Any, factor: float) -> Any:
    """Return a price in its spelling, times a factor."""
    if isinstance(value, int | float):
        return round(value * factor, 2) if isinstance(value, float) else round(value * factor)
    digits = "".join(each for each in value if each.isdigit() or each == ".")
    if "," in value and "€" in value:
        number = float(value.split()[0].replace(",", ".")) * factor
        return f"{number:.2f} €".replace(".", ",")
    shown = f"{float(digits) * factor:,.{2 if '.' in digits else 0}f}"
    start = next(place for place, each in enumerate(value) if each.isdigit())
    end = max(place for place, each in enumerate(value) if each.isdigit()) + 1
    return value[:start] + shown + value[end:]


# ---- drifts: each changes a night in place ----

#: A drift: changes a night. What it must be found by: kinds, the column and the host.
Drift = Callable[[Night], None]


def on_host(host: str, change: Callable[[Answer], None]) -> Drift:
    """Return the drift that changes the answers of one host."""

    def drift(found: Night) -> None:
        for (_, its_host), answer in found.answers.items():
            if its_host == host:
                change(answer)

    return drift


def on_share(share: float, change: Callable[[Answer], None]) -> Drift:
    """Return the drift that changes a share of the answers, spread over all hosts."""

    def drift(found: Night) -> None:
        r = random.Random(f"share {share}")
        for answer in found.answers.values():
            if r.random() < share:
                change(answer)

    return drift


def everywhere(change: Callable[[Answer], None]) -> Drift:
    """Return the drift that changes all answers."""
    return on_share(1.1, change)


def put(name: str, value: Any) -> Callable[[Answer], None]:
    """Return the change that gives a field one value."""

    def change(answer: Answer) -> None:
        answer[name] = value

    return change


def turn(name: str, convert: Callable[[Any], Any]) -> Callable[[Answer], None]:
    """Return the change that converts the values of a field."""

    def change(answer: Answer) -> None:
        if answer.get(name) is not None:
            answer[name] = convert(answer[name])

    return change


def drop(name: str) -> Callable[[Answer], None]:
    """Return the change that removes a field."""

    def change(answer: Answer) -> None:
        answer.pop(name, None)

    return change


def slip(first: str, last: str) -> Callable[[Answer], None]:
    """Return the change that moves the values from one field to another by one column."""

    def change(answer: Answer) -> None:
        names = [*answer]
        names = names[names.index(first) : names.index(last) + 1]
        values = [answer[name] for name in names]
        answer.update(zip(names, [None, *values[:-1]], strict=True))

    return change


def same_answer(share: float) -> Drift:
    """Return the drift that gives a share of the jobs the answer of the first."""

    def drift(found: Night) -> None:
        first = json.loads(json.dumps(next(iter(found.answers.values()))))
        for answer in found.answers.values():
            answer.pop("url", None)
        on_share(share, lambda answer: answer.update(first))(found)

    return drift


def lose_rows(share: float) -> Drift:
    """Return the drift that loses a share of the rows."""

    def drift(found: Night) -> None:
        r = random.Random(f"rows {share}")
        kept = {key: answer for key, answer in found.answers.items() if r.random() >= share}
        found.answers = kept

    return drift
